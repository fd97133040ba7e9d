/** What a command starts on its host. `node:…` is loaded when it is needed: few commands start anything. */
import { OverlaydError } from '../core/errors.ts';

const AGAIN_MS = 50;
const STOP_LIMIT_MS = 10_000;

export interface Ended {
  /** Undefined when there is no such program. */
  readonly code: number | undefined;
  readonly output: string;
}

/** `agent`: the command line that runs the agent. */
export function createHostPrograms(agent: readonly string[]) {
  return {
    agent,

    /** Whatever its exit code. Output and errors are one text. */
    async run(argv: readonly string[]): Promise<Ended> {
      const { child, output } = await start(argv);
      return new Promise((resolve) => {
        child.once('error', () => resolve({ code: undefined, output: '' }));
        child.once('close', (code) => resolve({ code: code ?? 1, output: output() }));
      });
    },

    /** Resolves when it answers at the socket. Throws `agent-not-running` with its own words when it ends before. */
    async startAgent(args: readonly string[], socketPath: string): Promise<{ stop(): Promise<void> }> {
      const { setTimeout: sleep } = await import('node:timers/promises');
      const { child, output } = await start([...agent, ...args]);
      let ended = false;
      const end = new Promise<void>((resolve) => {
        for (const event of ['error', 'close']) child.once(event, () => resolve());
      }).then(() => {
        ended = true;
      });
      while (!(await answers(socketPath))) {
        if (ended) {
          const [why = 'it says nothing'] = output().trim().split('\n').slice(-1);
          throw new OverlaydError('agent-not-running', `the agent does not start: ${why.replace(/^overlayd: /, '')}`);
        }
        await sleep(AGAIN_MS);
      }
      return {
        async stop() {
          child.kill('SIGTERM');
          const late = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
          await end;
          clearTimeout(late);
        },
      };
    },

    async temporaryDirectory(): Promise<string> {
      const [{ mkdtemp }, { tmpdir }] = await Promise.all([import('node:fs/promises'), import('node:os')]);
      return mkdtemp(`${tmpdir()}/overlayd-`);
    },

    /** A file, or a directory with all that is in it; whether it was there. */
    async removeTree(path: string): Promise<boolean> {
      const { lstat, rm } = await import('node:fs/promises');
      const there = await lstat(path).catch(() => undefined);
      await rm(path, { recursive: true, force: true });
      return there !== undefined;
    },
  };
}

async function start([program, ...args]: readonly string[]) {
  const { spawn } = await import('node:child_process');
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (data: string) => {
      text += data;
    });
  }
  return { child, output: () => text };
}

async function answers(socketPath: string): Promise<boolean> {
  const { connect } = await import('node:net');
  const socket = connect(socketPath);
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}
