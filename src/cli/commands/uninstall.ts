/**
 * `uninstall`: everything of overlayd out of this host. The package's own removal runs it with `--keep-data`; files that a
 * package manager has put there are left to that.
 */
import type { Command } from 'commander';
import { LAST_STOP_FILE } from '../../core/config/last-stop.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { Session } from '../session.ts';
import { isToolProgram } from '../tool-program.ts';

/**
 * What `install` of the archive has put where, in order: a path on each line, with `/` at its end where it is a directory, which
 * goes when nothing is in it any more, or `group NAME`.
 */
const MANIFEST = 'installed';
const SERVICE = 'overlayd.service';
/** Of a host with Docker. A call that comes to one of them would start the agent again, or be refused in its place. */
const SOCKETS = ['overlayd.socket', 'overlayd-unavailable.socket'];
/** A copy that somebody made of the checkout's. */
const UNIT = `/etc/systemd/system/${SERVICE}`;
const CONFIGURATION = '/etc/overlayd';
const RESOLVER_FILES = '/etc/netns';
const TOOL_DIRECTORIES = [
  '/opt/cni/bin',
  '/usr/lib/cni',
  '/usr/libexec/cni',
  '/usr/local/libexec/netavark',
  '/usr/libexec/netavark',
];
const CNI_CONFIGURATIONS = '/etc/cni/net.d';
const CNI_FILE = /^87-overlayd-.*\.conflist$/;

interface UninstallOptions {
  readonly yes?: boolean;
  readonly keepData?: boolean;
  readonly leave: boolean;
  readonly yesDeleteCluster?: boolean;
}

export function addUninstallCommand(program: Command, session: Session): void {
  program
    .command('uninstall')
    .description('Take everything of overlayd out of this host')
    .option('--yes', 'do not ask')
    .option('--keep-data', 'stay a member: identity, store and configuration stay on the disk')
    .option('--no-leave', 'tell the cluster nothing, where the agent does not start')
    .option('--yes-delete-cluster', "on the host of the cluster's only etcd: delete the cluster for all its hosts")
    .addHelpText(
      'after',
      `
The host leaves its cluster, by force: its containers are cut off. Then all of
overlayd goes from the kernel, from Docker, Podman and CNI, and from the disk.
Installed as a package, the programs stay: apt purge overlayd takes them too.

Examples:
  overlayd uninstall
  overlayd uninstall --yes --yes-delete-cluster`,
    )
    .action((options: UninstallOptions) => uninstall(session, options));
}

async function uninstall(session: Session, options: UninstallOptions): Promise<void> {
  const { keepData = false, yes = false } = options;
  const warning = keepData
    ? "This cuts off this host's containers."
    : "This takes the host out of its cluster, cuts off its containers, and deletes overlayd's data here.";
  if (!yes && !(await session.confirm(warning, '--yes'))) return session.note('nothing was done');
  await requireRoot(session);
  if (!keepData && options.leave) await leave(session, options.yesDeleteCluster === true);
  await stopService(session, keepData);
  const failed = await clear(session, keepData).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (failed && !keepData) throw failed.error;
  // Made for the resolver files of containers; `ip netns` makes none.
  await session.surroundings.programs.run(['rmdir', '--ignore-fail-on-non-empty', RESOLVER_FILES]);
  // The package's programs go now: what they alone can take back is taken back all the same.
  await undoDocker(session);
  const removed = [...(await removeToolFiles(session)), ...(keepData ? [] : await removeFiles(session))];
  for (const path of removed) session.print(`removed ${path}`);
  if (failed) throw failed.error;
  session.print(
    keepData
      ? 'Nothing of overlayd is in the kernel any more. The host is a member still: `overlayd node rm --force` on another one takes it out.'
      : 'Nothing of overlayd is left on this host, but for the programs where a package or a checkout has them.',
  );
}

/** Who may use the agent's socket without being root could leave, and no more. Throws `permission-denied`. */
async function requireRoot({ surroundings }: Session): Promise<void> {
  const { output } = await surroundings.programs.run(['id', '-u']);
  if (!/^[1-9]\d*$/.test(output.trim())) return;
  throw new OverlaydError('permission-denied', 'the host is cleared by root alone: run it with sudo');
}

async function leave(session: Session, deleteCluster: boolean): Promise<void> {
  try {
    const { warnings, nodeName, clusterId } = await session.askAnyway('leaving the cluster', (client, report) =>
      client.leaveCluster({ force: true, deleteCluster }, report),
    );
    session.warn(warnings);
    session.print(`This node ${nodeName} left cluster ${clusterId}.`);
  } catch (error) {
    if (isOverlaydError(error, 'not-joined')) return;
    if (!isOverlaydError(error, 'agent-not-running')) throw error;
    throw new OverlaydError(
      'agent-not-running',
      `${error.message}; mend that, or take the host away without it: overlayd uninstall --no-leave, and \`overlayd node rm --force\` on another one`,
      { cause: error },
    );
  }
}

/** Where systemd runs it. Other hosts are not to await it: what it serves ends with it. */
async function stopService(session: Session, keepsUnit: boolean): Promise<void> {
  const { files, programs, runDir } = session.surroundings;
  const { run } = programs;
  if ((await run(['systemctl', 'cat', SERVICE])).code !== 0) return;
  const words = keepsUnit ? ['stop'] : ['disable', '--now'];
  const directory = await runDir(session.globalFlags());
  const mark = `${directory}/${LAST_STOP_FILE}`;
  // Where there is none no agent ran since the host started.
  if ((await files.list(directory)).length > 0) await files.install(mark, '', 0o600);
  const { code, output } = await run(['systemctl', ...words, SERVICE]).finally(() => files.remove(mark));
  if (code !== 0) throw new OverlaydError('conflict', `systemctl could not stop ${SERVICE}: ${output.trim()}`);
  for (const socket of SOCKETS) await run(['systemctl', 'stop', socket]);
}

async function clear(session: Session, keepData: boolean): Promise<void> {
  const { programs } = session.surroundings;
  const flags = [...session.globalFlags()].flat();
  const argv = [...programs.agent, keepData ? '--clear-host' : '--clear-host=forget', ...flags];
  const { code, output } = await programs.run(argv);
  if (code === 0) return;
  const [why = ''] = output.trim().split('\n').slice(-1);
  throw new OverlaydError('data-path-failed', `the host was not cleared wholly: ${why.replace(/^overlayd: /, '')}`);
}

async function undoDocker(session: Session): Promise<void> {
  const { surroundings } = session;
  const { code, output } = await surroundings.programs.run([
    `${surroundings.programs.root}/deploy/docker-setup.sh`,
    '--undo',
  ]);
  if (code === undefined) return;
  // What it did, not what there was nothing to do about.
  const lines = output.split('\n').filter((line) => !/ does not name | nothing to do$/.test(line));
  if (code === 0) surroundings.writeOut(lines.join('\n'));
  else session.warn([`what overlayd-docker-setup did was not undone: ${lines.join(' ').trim()}`]);
}

/** Programs and configurations that container tools were given. */
async function removeToolFiles({ surroundings: { files } }: Session): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const directory of TOOL_DIRECTORIES) {
    const path = `${directory}/overlayd`;
    if (isToolProgram(await files.read(path)) && (await files.remove(path))) removed.push(path);
  }
  for (const name of await files.list(CNI_CONFIGURATIONS)) {
    const path = `${CNI_CONFIGURATIONS}/${name}`;
    if (CNI_FILE.test(name) && (await files.remove(path))) removed.push(path);
  }
  return removed;
}

async function removeFiles(session: Session): Promise<readonly string[]> {
  const { files, programs } = session.surroundings;
  const removed: string[] = [];
  if ((await files.read(UNIT))?.includes('overlayd agent') && (await files.remove(UNIT))) removed.push(UNIT);
  if (await programs.removeTree(CONFIGURATION)) removed.push(CONFIGURATION);
  const manifest = await files.read(`${programs.root}/${MANIFEST}`);
  if (manifest !== undefined) {
    for (const line of manifest.split('\n').reverse()) {
      if (line.startsWith('group ')) await programs.run(['groupdel', line.slice('group '.length)]);
      else if (line.endsWith('/')) await programs.run(['rmdir', '--ignore-fail-on-non-empty', line]);
      else if (line !== '' && (await files.remove(line))) removed.push(line);
    }
    // Unpacked without its folder it is one that others are in as well, such as /opt.
    if (!/\/overlayd[^/]*$/.test(programs.root)) session.note(`left where it is, delete it yourself: ${programs.root}`);
    else if (await programs.removeTree(programs.root)) removed.push(programs.root);
  }
  await programs.run(['systemctl', 'daemon-reload']);
  return removed;
}
