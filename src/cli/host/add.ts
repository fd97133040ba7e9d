/**
 * Makes another host a member: looks at it, installs the package, has it join, and waits until a packet has gone there and come back by
 * the data path. Each step is one that a person could type; what is done already is left out, so a run that broke off is typed again.
 */
import { OverlaydError } from '../../core/errors.ts';
import { formatHostPort } from '../../core/host-port.ts';
import { quoteWord } from '../../core/shell-word.ts';
import type { Node } from '../../gen/overlayd/v1/control.ts';
import type { RemoteEnd, RemoteShell, RemoteTarget } from '../../ports/remote.ts';
import { VERSION } from '../../version.ts';
import { withProgress } from '../progress.ts';
import type { Session } from '../session.ts';
import { bytesText } from '../tunnel.ts';
import { ASK_WHAT, ASK_WHO, parseFacts, parseWho, type RemoteFacts, type Who } from './facts.ts';
import { type FoundPackage, findPackage, removePackage } from './package.ts';
import { type HostOptions, type HostPlan, planHost } from './plan.ts';
import type { Release } from './release.ts';
import { lastLines } from './remote.ts';
import { type PathSeen, untilPathPasses } from './wait.ts';

export interface AddRequest extends HostOptions {
  readonly target: RemoteTarget;
  /** File of the package; undefined: one is found. */
  readonly package?: (Release & { readonly path: string }) | undefined;
  /** Aborted: nothing of it stays under way, here or there. */
  readonly signal: AbortSignal;
}

export interface AddedHost {
  readonly nodeName: string;
  /** Undefined: nothing was. */
  readonly installed: string | undefined;
  readonly joined: boolean;
  /** Undefined: it cannot be looked at, and `pathSkipped` says why. */
  readonly path: PathSeen | undefined;
  readonly pathSkipped: string;
}

export interface LookedAt {
  readonly shell: RemoteShell;
  readonly facts: RemoteFacts;
  readonly who: Who;
  readonly self: Node;
  readonly plan: HostPlan;
}

const TOKEN_TTL_MS = 15 * 60_000;

/** Connects, looks, and decides; `work` goes on with it. Changes nothing by itself. */
export async function withHost<T>(
  session: Session,
  request: AddRequest,
  work: (at: LookedAt) => Promise<T>,
): Promise<T> {
  const { self, clusterId } = await session.ask('waiting for the agent', (client) => client.getStatus({}));
  if (!self || clusterId === '') {
    throw new OverlaydError(
      'not-joined',
      'this host is no member of a cluster, so there is none to add a host to: `overlayd init` first',
    );
  }
  const { target, signal } = request;
  // Who is asked for a password is not told of anything else meanwhile.
  const shell = await session.surroundings.openRemote(target, signal);
  try {
    const who = parseWho((await mustRun(shell, ASK_WHO, 'asking who we are there')).stdout);
    if (who.asRoot === undefined) {
      throw new OverlaydError(
        'permission-denied',
        `${target.destination} is not root there, and sudo asks for a password: use root@…, or let sudo go without one (NOPASSWD in sudoers)`,
      );
    }
    const root = asRoot(shell, who.asRoot);
    const facts = parseFacts((await mustRun(root, ASK_WHAT, 'looking at the host')).stdout);
    const cluster = { id: clusterId, isV6: self.advertiseAddress.includes(':') };
    const plan = planHost(facts, who, cluster, request, request.package?.version ?? VERSION);
    checkPackage(request, plan);
    return await work({ shell: root, facts, who, self, plan });
  } finally {
    await shell.close();
  }
}

/** `say` hears each step that is done. */
export async function addHost(
  session: Session,
  request: AddRequest,
  { shell, self, plan }: LookedAt,
  say: (line: string) => void,
): Promise<AddedHost> {
  const { nodeName, install, join } = plan;
  if (install) {
    const sent = await provide(session, request, install, (found) => installPackage(session, shell, found, say));
    say(`installed overlayd ${sent.version}${install.instead === undefined ? '' : ` in place of ${install.instead}`}`);
  } else say('overlayd is installed');
  if (plan.startAgent) {
    await progress(session, 'waiting for its agent', () => mustRun(shell, START_AGENT, 'starting the agent'));
    say('its agent runs');
  }
  if (join) say(`joined as ${nodeName}${await joinCluster(session, shell, self, plan, request.name)}`);
  else say(`it is a member already, as ${nodeName}`);
  // Before it is chosen by itself.
  if (plan.keeps === 'nothing') await changeKeeping(session, nodeName, plan.keeps, say);
  const { path, skipped } = await untilPathPasses(session, nodeName, request.signal);
  say(
    path
      ? `a packet has gone to ${nodeName} and come back by the data path (${path.words})`
      : `the data path to ${nodeName} was not looked at: ${skipped}`,
  );
  if (plan.keeps === 'store') await changeKeeping(session, nodeName, plan.keeps, say);
  return {
    ...{ nodeName, installed: install && (request.package?.version ?? VERSION), joined: join !== undefined },
    ...{ path, pathSkipped: skipped },
  };
}

/** What {@link addHost} would do, one step a line. */
export function describePlan(request: AddRequest, { self, plan, facts }: LookedAt): readonly string[] {
  const { install, join, nodeName, keeps } = plan;
  const file = request.package?.path ?? (install?.kind === 'archive' ? 'the archive' : 'the package');
  return [
    ...(install
      ? [
          `copy ${file} of overlayd ${request.package?.version ?? VERSION} (${install.arch}) there, and install it${install.instead === undefined ? '' : ` in place of ${install.instead}`}: ${install.kind === 'deb' ? 'apt-get install' : 'unpacked below /opt, ./install'}`,
        ]
      : []),
    ...(plan.startAgent ? ['wait until its agent answers: systemctl start overlayd'] : []),
    ...(join
      ? [
          `make a token here that lets ${nodeName} join once, within 15 minutes: overlayd token create --ttl 15m --uses 1 --node ${nodeName}`,
          `have it join there: ${joinWords(self, plan, request.name).join(' ')}`,
        ]
      : []),
    ...(keeps === undefined ? [] : [`overlayd node ${keeps === 'store' ? 'promote' : 'demote'} ${nodeName}`]),
    `wait until a packet of this host has gone to ${facts.name} by the data path and come back`,
  ];
}

function checkPackage({ package: named }: AddRequest, { install }: HostPlan): void {
  if (!named || !install) return;
  const why =
    named.arch !== install.arch
      ? `it is for ${named.arch}, the host is ${install.arch}`
      : named.kind === 'deb' && install.kind === 'archive'
        ? 'the host has no apt: it takes the archive (overlayd-VERSION-linux-….tar.gz)'
        : undefined;
  if (why !== undefined)
    throw new OverlaydError('host-unsuitable', `${named.fileName} cannot be installed there: ${why}`);
}

function asRoot(shell: RemoteShell, by: 'root' | 'sudo'): RemoteShell {
  if (by === 'root') return shell;
  return { ...shell, run: (script, options) => shell.run(`exec sudo -n sh -c ${quoteWord(script)}`, options) };
}

async function mustRun(
  shell: Pick<RemoteShell, 'run'>,
  script: string,
  what: string | (() => string),
  input?: Parameters<RemoteShell['run']>[1],
): Promise<RemoteEnd> {
  const end = await shell.run(script, input);
  if (end.code === 0) return end;
  const doing = typeof what === 'string' ? what : what();
  throw new OverlaydError('host-unsuitable', `${doing} failed there: ${lastLines(end) || `it ended with ${end.code}`}`);
}

function progress<T>(
  session: Session,
  waiting: string,
  work: (report: (text: string) => void) => Promise<T>,
): Promise<T> {
  return withProgress(session.surroundings, waiting, work);
}

// ---------------------------------------------------------------- installing

async function provide<T extends { readonly version: string }>(
  session: Session,
  request: AddRequest,
  wanted: NonNullable<HostPlan['install']>,
  work: (found: FoundPackage) => Promise<T>,
): Promise<T> {
  const found: FoundPackage = request.package
    ? { ...request.package, isMade: false }
    : await progress(session, 'looking for the package', (report) => findPackage(session, wanted, report));
  try {
    request.signal.throwIfAborted();
    return await work(found);
  } finally {
    await removePackage(session, found);
  }
}

/**
 * Script that takes the file from standard input and installs it. However it ends, it removes the file; where the connection ends in the
 * middle of the file it does no more, and later it goes on to its end.
 */
export const receiveAndInstall = (kind: Release['kind'], fileName: string, bytes: number) => `set -e
umask 022
directory=
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT PIPE TERM
directory=$(mktemp -d /var/tmp/overlayd.XXXXXX)
chmod 755 "$directory"
file=$directory/${fileName}
cat >"$file"
[ "$(wc -c <"$file")" -eq ${bytes} ] || { echo 'only a part of the file arrived' >&2; exit 1; }
${INSTALL[kind](fileName)}`;

/** Of `$file`. Lists that are older than the mirror name files that are gone. */
const INSTALL: Readonly<Record<Release['kind'], (fileName: string) => string>> = {
  deb: () => `export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$file" </dev/null 2>&1; }
said=$(install) || said=$(apt-get update -qq 2>&1 && install) || { echo "$said"; exit 1; }`,
  archive: (fileName) => `tar -xzf "$file" -C /opt
/opt/${fileName.replace(/\.tar\.gz$/, '')}/install`,
};

async function installPackage(
  session: Session,
  shell: RemoteShell,
  found: FoundPackage,
  say: (line: string) => void,
): Promise<FoundPackage> {
  const { fileName, kind, path } = found;
  const bytes = await session.surroundings.files.size(path);
  if (bytes === undefined) throw new OverlaydError('invalid-argument', `${path}: there is no such file`);
  const allSent = Promise.withResolvers<void>();
  let isSent = false;
  const what = () => (isSent ? 'installing the package' : 'copying the package');
  let running: Promise<RemoteEnd> | undefined;
  await progress(session, `copying ${fileName}`, (report) => {
    const onSent = (sent: number) => {
      report(`copying ${fileName}: ${Math.floor((10 * sent) / bytes) * 10} % of ${bytesText(bytes)}`);
      if (sent < bytes) return;
      isSent = true;
      allSent.resolve();
    };
    running = mustRun(shell, receiveAndInstall(kind, fileName, bytes), what, { input: { file: path, onSent } });
    return Promise.race([allSent.promise, running]);
  });
  say(`copied ${fileName} there (${bytesText(bytes)})`);
  const end = await progress(session, `installing ${fileName} and what it depends on`, () => running!);
  // What `install` of the archive finds missing.
  for (const line of end.stdout.split('\n'))
    if (/is missing/.test(line)) session.warn([line.replace(/^install: /, '')]);
  return found;
}

/** As long as a start may take that the unit lets go on. */
const START_AGENT = `PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin"
systemctl start overlayd
tries=0
until overlayd status >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ $tries -ge 60 ]; then
    journalctl --no-pager --quiet --unit overlayd --lines 3 --output cat
    echo 'the agent does not answer; journalctl -u overlayd there says why'
    exit 1
  fi
  sleep 0.5
done`;

// ---------------------------------------------------------------- joining

function joinWords(self: Node, { join }: HostPlan, name: string | undefined): readonly string[] {
  return [
    ...['overlayd', 'join', '--token-file', '-'],
    ...(name === undefined ? [] : ['--name', name]),
    ...(join?.advertiseAddress === undefined ? [] : ['--advertise-addr', join.advertiseAddress]),
    formatHostPort(self.advertiseAddress, self.joinPort),
  ];
}

/** Returns what else there is to say. The token goes by standard input: command lines are for all to read. */
async function joinCluster(
  session: Session,
  shell: RemoteShell,
  self: Node,
  plan: HostPlan,
  name: string | undefined,
): Promise<string> {
  const { id, token } = await session.ask('making a token', (client) =>
    client.createToken({ ttlMs: TOKEN_TTL_MS, uses: 1, node: plan.nodeName }),
  );
  const words = joinWords(self, plan, name).map((word) => (/^[\w.:/-]+$/.test(word) ? word : quoteWord(word)));
  const script = `PATH="$PATH:/usr/local/bin"; exec ${words.join(' ')}`;
  const revoke = () =>
    session.ask('revoking the token', (client) => client.revokeToken({ ref: id })).catch(() => undefined);
  const joining = progress(session, `${plan.nodeName} is joining`, () => shell.run(script, { input: token }));
  const end = await joining.catch(async (error: unknown) => {
    await revoke();
    throw error;
  });
  session.warn(warningsOf(end));
  if (end.code !== 0) {
    await revoke();
    const why = lastLines({ ...end, stdout: '' }, 1).replace(/^overlayd: /, '');
    throw new OverlaydError('conflict', `it could not join: ${why || `overlayd join ended with ${end.code}`}`);
  }
  return plan.join?.advertiseAddress === undefined ? '' : `, at ${plan.join.advertiseAddress}`;
}

function warningsOf({ stderr }: RemoteEnd): readonly string[] {
  return stderr.split('\n').flatMap((line) => /^warning: (.*)$/.exec(line)?.[1] ?? []);
}

async function changeKeeping(
  session: Session,
  nodeName: string,
  keeps: 'store' | 'nothing',
  say: (line: string) => void,
): Promise<void> {
  const isStore = keeps === 'store';
  const { warnings } = await session.ask(
    isStore ? 'making it a keeper of the store' : 'letting others keep the store',
    (client, report) =>
      isStore ? client.promoteNode({ ref: nodeName }, report) : client.demoteNode({ ref: nodeName }, report),
  );
  session.warn(warnings);
  if (warnings.length === 0) say(isStore ? 'it keeps the store' : 'it keeps nothing of the store');
}
