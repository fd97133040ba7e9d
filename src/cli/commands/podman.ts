/** `podman install` and `podman uninstall`: the plugin that Podman's netavark looks for on this host. */
import type { Command } from 'commander';
import { OverlaydError } from '../../core/errors.ts';
import type { Session } from '../session.ts';
import { installToolProgram, removeToolProgram, toolProgram } from '../tool-program.ts';

/** The first of those where netavark looks by itself. */
const PLUGIN_DIR = '/usr/local/libexec/netavark';
const PROGRAM = 'overlayd';

interface Place {
  readonly pluginDir: string;
}

export function addPodmanCommands(program: Command, session: Session): void {
  const podman = program.command('podman').description('Networks for Podman 5 and later');

  addPlace(podman.command('install').description("Install the plugin of Podman's netavark"))
    .option('--print', 'print the program, and install nothing')
    .addHelpText(
      'after',
      `
From then on Podman has every network of the cluster, and makes others (podman network create -d overlayd NAME).
Another directory than netavark's own has to be in netavark_plugin_dirs of containers.conf, and in the agent's --podman-plugin.

Examples:
  overlayd podman install
  overlayd podman install --plugin-dir /usr/libexec/netavark
  overlayd podman install --print > /tmp/overlayd`,
    )
    .action(async ({ pluginDir, print }: Place & { readonly print?: boolean }) => {
      if (print) return session.surroundings.writeOut(await toolProgram(session));
      const path = `${pluginDir}/${PROGRAM}`;
      await installToolProgram(session, path, '--plugin-dir');
      session.print(path);
    });

  addPlace(podman.command('uninstall').description('Take away what install has put there'))
    .addHelpText(
      'after',
      `
Podman is offered nothing from then on, and its networks of overlayd cannot be used. Containers that run keep them.

Examples:
  overlayd podman uninstall
  overlayd podman uninstall --plugin-dir /usr/libexec/netavark`,
    )
    .action(async ({ pluginDir }: Place) => {
      const path = `${pluginDir}/${PROGRAM}`;
      if (!(await removeToolProgram(session, path))) {
        throw new OverlaydError('invalid-argument', `there is no ${path}`);
      }
      session.print(path);
    });
}

function addPlace(command: Command): Command {
  return command.option('--plugin-dir <path>', 'where netavark looks for plugins', PLUGIN_DIR);
}
