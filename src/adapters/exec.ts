/** Processes: argument vectors and standard input, never a shell. The one door to execa, which is loaded with the first process. */
import { OverlaydError } from '../core/errors.ts';

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Resolves whatever the exit code is. Throws `tool-missing`, `data-path-failed` (retryable: not started, killed, out of
 * time), `cancelled`.
 */
export type Run = (argv: readonly string[], options?: RunOptions) => Promise<RunResult>;

export interface Exec {
  readonly run: Run;
}

const TIMEOUT_MS = 30_000;
/** Processes at once. */
const CONCURRENCY = 8;

/** Debian's packages of what we run. */
const PACKAGES: Readonly<Record<string, string>> = {
  iptables: 'iptables',
  busctl: 'systemd',
  'lxc-info': 'lxc',
  resolvectl: 'systemd-resolved',
  systemctl: 'systemd',
};

/** What programs say is matched: it must not be translated. */
const ENVIRONMENT = { PATH: process.env.PATH, LC_ALL: 'C' };

export function createExec(): Exec {
  const slots = createSlots(CONCURRENCY);

  const run: Run = async (argv, { input = '', signal } = {}) => {
    const release = await slots();
    try {
      const command = argv.join(' ');
      if (signal?.aborted) throw new OverlaydError('cancelled', `${command} was not begun`);
      const [file = '', ...args] = argv;
      const { execa } = await import('execa');
      const end = await execa(file, args, {
        reject: false,
        stripFinalNewline: false,
        env: ENVIRONMENT,
        extendEnv: false,
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
        ...(input === '' ? { stdin: 'ignore' } : { input }),
        ...(signal && { cancelSignal: signal }),
      });
      if (end.isCanceled) throw new OverlaydError('cancelled', `${command} was cancelled`);
      if (end.timedOut)
        throw failed(`${command} did not end within ${TIMEOUT_MS / 1000} s; the kernel or the machine is overloaded`);
      if (end.signal !== undefined) throw failed(`${command} was ended by ${end.signal}; what it did is not known`);
      if (end.exitCode === undefined) {
        if (end.code === 'ENOENT') throw toolMissing(file, end.originalMessage);
        throw failed(`${command} could not be started: ${end.originalMessage}`);
      }
      return { code: end.exitCode, stdout: end.stdout, stderr: end.stderr };
    } finally {
      release();
    }
  };

  return { run };
}

function failed(message: string): OverlaydError {
  return new OverlaydError('data-path-failed', message, { retryable: true });
}

function toolMissing(tool: string, cause: unknown): OverlaydError {
  const found = PACKAGES[tool];
  const hint = found === undefined ? 'install it' : `install the package ${found} (Debian's name)`;
  return new OverlaydError('tool-missing', `the program "${tool}" is not on this host; ${hint}`, { cause });
}

/** A counting semaphore: resolves to what gives the slot back. */
function createSlots(count: number): () => Promise<() => void> {
  let free = count;
  const waiting: (() => void)[] = [];
  const release = () => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  return async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return release;
  };
}
