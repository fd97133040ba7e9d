/**
 * Another host, by the system's ssh: one connection that is kept, over which scripts of sh are run one after another. Who the user
 * is, which keys and which way (`~/.ssh/config`, an agent, a jump host) is all ssh's; a password or a new host's key is asked for on the
 * terminal by ssh itself, and where there is none it does not ask. `node:…` is loaded when it is needed.
 */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { OverlaydError } from '../core/errors.ts';
import { quoteWord } from '../core/shell-word.ts';
import type { OpenRemoteShell, RemoteEnd, RemoteTarget, SentFile } from '../ports/remote.ts';

const CONNECT_LIMIT_S = 10;
/** ssh's own exit code; a script's is passed on. */
const SSH_FAILED = 255;
const CONNECTED = 'overlayd-connected';

export const openRemoteShell: OpenRemoteShell = async (target, signal) => {
  const [{ spawn }, { mkdtemp, rm }, { tmpdir }] = await Promise.all([
    import('node:child_process'),
    import('node:fs/promises'),
    import('node:os'),
  ]);
  signal.throwIfAborted();
  // Paths of sockets are short.
  const directory = await mkdtemp(`${tmpdir()}/overlayd-ssh-`);
  const argvOf = (own: readonly string[], command: string) => [
    ...['-T', '-S', `${directory}/s`, ...own],
    ...(target.port === undefined ? [] : ['-p', String(target.port)]),
    ...(target.identity === undefined ? [] : ['-i', target.identity]),
    ...[...target.options, ...OWN_OPTIONS, `BatchMode=${target.interactive ? 'no' : 'yes'}`].flatMap((each) => [
      '-o',
      each,
    ]),
    ...['--', target.destination, command],
  ];
  const start = (own: readonly string[], command: string) => {
    const child = spawn('ssh', argvOf(own, command), {
      ...{ stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } },
    });
    // It gives the terminal back where it was asking for a password.
    const interrupt = () => child.kill();
    signal.addEventListener('abort', interrupt);
    child.once('close', () => signal.removeEventListener('abort', interrupt));
    return child;
  };

  // It lives as long as its standard input is open: when this process ends, however it does, so does the connection.
  const master = start(['-M'], `echo ${CONNECTED}; exec cat >/dev/null`);
  const ended = endOf(master);
  const close = async () => {
    master.stdin!.end();
    await ended.catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await connected(master, ended, target);
  } catch (error) {
    await close();
    signal.throwIfAborted();
    throw error;
  }
  return {
    async run(script, { input = '' } = {}) {
      signal.throwIfAborted();
      const child = start(['-o', 'ControlMaster=no'], `sh -c ${quoteWord(script)}`);
      const ending = endOf(child);
      // Who ends before it has read all has said why.
      child.stdin!.on('error', () => undefined);
      if (typeof input === 'string') child.stdin!.end(input);
      else await sendFile(input, child);
      const end = await ending;
      signal.throwIfAborted();
      if (end.code === SSH_FAILED) throw sshFailure(target, end.stderr);
      return end;
    },
    close,
  };
};

const OWN_OPTIONS = [
  `ConnectTimeout=${CONNECT_LIMIT_S}`,
  'ControlPersist=no',
  'RemoteCommand=none',
  'ServerAliveInterval=15',
  // Banners are no errors.
  'LogLevel=ERROR',
];

async function connected(master: ChildProcess, ended: Promise<RemoteEnd>, target: RemoteTarget): Promise<void> {
  let text = '';
  const said = new Promise<boolean>((resolve) => {
    master.stdout!.on('data', (data: string) => {
      text += data;
      if (text.includes(CONNECTED)) resolve(true);
    });
  });
  if (await Promise.race([said, ended.then(() => false)])) return;
  const { code, stderr } = await ended;
  throw code === SSH_FAILED
    ? sshFailure(target, stderr)
    : new OverlaydError(
        'permission-denied',
        `${target.destination} lets ssh in and runs no command: ${lastLine(stderr) || `it ended with ${code}`}; does the user have a shell there?`,
      );
}

function endOf(child: ChildProcess): Promise<RemoteEnd> {
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.setEncoding('utf8').on('data', (data: string) => {
      text[name] += data;
    });
  }
  const ended = new Promise<RemoteEnd>((resolve, reject) => {
    child.once('error', (cause: NodeJS.ErrnoException) => reject(notStarted(cause)));
    child.once('close', (code) => resolve({ code: code ?? SSH_FAILED, ...text }));
  });
  ended.catch(() => undefined);
  return ended;
}

function notStarted(cause: NodeJS.ErrnoException): OverlaydError {
  const message =
    cause.code === 'ENOENT'
      ? `the program "ssh" is not on this host; install the package openssh-client (Debian's name)`
      : `ssh could not be started: ${cause.message}`;
  return new OverlaydError('tool-missing', message, { cause });
}

async function sendFile({ file, onSent }: SentFile, child: ChildProcess): Promise<void> {
  const { createReadStream } = await import('node:fs');
  const from: Readable = createReadStream(file);
  let sent = 0;
  from.on('data', (chunk: Buffer) => {
    sent += chunk.length;
    onSent?.(sent);
  });
  await new Promise<void>((resolve, reject) => {
    from.once('error', (cause) => {
      child.kill();
      reject(new OverlaydError('invalid-argument', `${file} cannot be read: ${cause.message}`, { cause }));
    });
    from.pipe(child.stdin!);
    for (const event of ['finish', 'close', 'error']) child.stdin!.once(event, () => resolve());
  });
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}

/** What ssh's words mean, and what to do about it. Of OpenSSH, untranslated. */
export function sshFailure(
  target: Pick<RemoteTarget, 'destination' | 'interactive' | 'port'>,
  said: string,
): OverlaydError {
  const { destination } = target;
  const typed = `ssh ${target.port === undefined ? '' : `-p ${target.port} `}${destination}`;
  const why = lastLine(said) || 'it says nothing';
  if (/Host key verification failed/.test(said)) {
    const changed = /REMOTE HOST IDENTIFICATION HAS CHANGED/.test(said);
    const text = changed
      ? `the host key of ${destination} is another one than this host knows: was it installed anew, or does somebody else answer? Find out, then \`ssh-keygen -R HOST\``
      : `this host does not know the host key of ${destination}: compare and accept it once by \`${typed}\``;
    return new OverlaydError('permission-denied', text);
  }
  if (/Permission denied|Too many authentication failures|no mutual signature/.test(said)) {
    const ask = target.interactive ? '' : ', or run this in a terminal, where ssh can ask for a password';
    return new OverlaydError(
      'permission-denied',
      `${destination} refuses this user's keys (${why}): \`ssh-copy-id ${destination}\`, or name another key with --identity${ask}`,
    );
  }
  if (/Could not resolve hostname/.test(said)) {
    return new OverlaydError(
      'peer-unreachable',
      `ssh does not find ${destination} (${why}): write its address, or a name that resolves here`,
    );
  }
  if (/Connection refused/.test(said)) {
    return new OverlaydError(
      'peer-refused',
      `nothing listens on the ssh port of ${destination} (${why}): install openssh-server there, or name its port, like ${destination}:2222`,
    );
  }
  const isAway =
    /timed out|No route to host|Network is unreachable|Connection (closed|reset)|not responding|Broken pipe/.test(said);
  const text = isAway
    ? `ssh does not reach ${destination} (${why}): is it up, and its ssh port open to this host?`
    : `ssh to ${destination} failed: ${why}; \`${typed}\` shows more`;
  return new OverlaydError('peer-unreachable', text);
}
