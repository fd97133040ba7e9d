/** `cni install` and `cni uninstall`: what CNI's runtimes look for on this host. */
import type { Command } from 'commander';
import { OverlaydError } from '../../core/errors.ts';
import { collect } from '../argument.ts';
import type { Session } from '../session.ts';
import { installToolProgram, removeToolProgram } from '../tool-program.ts';

const BIN_DIR = '/opt/cni/bin';
const CONF_DIR = '/etc/cni/net.d';
const PROGRAM = 'overlayd';
/** Runtimes that take one network take the first by its file's name. */
const FILE = /^87-overlayd-.*\.conflist$/;

interface Places {
  readonly binDir?: readonly string[];
  readonly confDir: string;
}

interface InstallOptions extends Places {
  readonly network?: readonly string[];
  readonly portmap?: boolean;
  readonly print?: boolean;
}

export function addCniCommands(program: Command, session: Session): void {
  const cni = program.command('cni').description("Networks for CNI's runtimes: containerd, CRI-O, nerdctl, ctr");

  addPlaces(cni.command('install').description('Install the plugin, and configurations of networks'))
    .option('--network <name>', 'a network that runtimes are to see; may be repeated', collect(String))
    .option('--portmap', 'publish ports by the plugin portmap, which has to be there, instead of by overlayd')
    .option('--print', 'print the configurations, and install nothing')
    .addHelpText(
      'after',
      `
Runtimes look for plugins in different directories: Debian's containerd in /usr/lib/cni, others in /opt/cni/bin.

Examples:
  overlayd cni install --network web
  overlayd cni install --bin-dir /opt/cni/bin --bin-dir /usr/lib/cni --network web --portmap
  overlayd cni install --network web --print > /etc/cni/net.d/10-web.conflist`,
    )
    .action(async ({ binDir = [BIN_DIR], confDir, network = [], portmap, print }: InstallOptions) => {
      const found: { readonly name: string; readonly text: string }[] = [];
      for (const ref of network) {
        const { name, internal } = await session.ask('waiting for the agent', (client) => client.getNetwork({ ref }));
        const ports = internal ? 'none' : portmap ? 'portmap' : 'own';
        found.push({ name, text: configuration(name, ports) });
      }
      if (print) {
        for (const { text } of found) session.print(text);
        return;
      }
      const { files } = session.surroundings;
      for (const directory of binDir) {
        await installToolProgram(session, `${directory}/${PROGRAM}`);
        session.print(`${directory}/${PROGRAM}`);
      }
      for (const { name, text } of found) {
        const path = `${confDir}/87-overlayd-${name}.conflist`;
        await files.install(path, `${text}\n`, 0o644);
        session.print(path);
      }
    });

  addPlaces(cni.command('uninstall').description('Take away what install has put there'))
    .addHelpText(
      'after',
      `
Containers that run keep their networks; a runtime that deletes them later does not find the plugin any more.

Examples:
  overlayd cni uninstall
  overlayd cni uninstall --bin-dir /opt/cni/bin --bin-dir /usr/lib/cni`,
    )
    .action(async ({ binDir = [BIN_DIR], confDir }: Places) => {
      const { files } = session.surroundings;
      const removed: string[] = [];
      for (const name of await files.list(confDir)) {
        const path = `${confDir}/${name}`;
        if (FILE.test(name) && (await files.remove(path))) removed.push(path);
      }
      for (const directory of binDir) {
        const path = `${directory}/${PROGRAM}`;
        if (await removeToolProgram(session, path)) removed.push(path);
      }
      for (const path of removed) session.print(path);
      if (removed.length === 0) {
        throw new OverlaydError('invalid-argument', `nothing of overlayd is in ${[...binDir, confDir].join(', ')}`);
      }
    });
}

/**
 * Of 1.0.0: containerd 1.7 takes no list of 1.1.0. `ports`: who publishes them; a runtime tells each plugin what it says it can, so of
 * a network that leads nowhere it tells nobody.
 */
function configuration(network: string, ports: 'own' | 'portmap' | 'none'): string {
  const capabilities = { ips: true, mac: true, aliases: true, dns: true };
  const published = { portMappings: true };
  const own = {
    ...{ type: PROGRAM, network },
    capabilities: { ...capabilities, ...(ports === 'own' ? published : {}) },
  };
  const plugins = ports === 'portmap' ? [own, { type: 'portmap', capabilities: published }] : [own];
  return JSON.stringify({ cniVersion: '1.0.0', name: network, plugins }, null, 2);
}

function addPlaces(command: Command): Command {
  return command
    .option(
      '--bin-dir <path>',
      `where runtimes look for plugins; may be repeated (default: ${BIN_DIR})`,
      collect(String),
    )
    .option('--conf-dir <path>', 'where they look for configurations', CONF_DIR);
}
