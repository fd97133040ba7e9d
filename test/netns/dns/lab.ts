import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface Program {
  /** Sends a line and gives the next line of the answer. */
  ask(line: string): Promise<string>;
  stop(): Promise<void>;
}

/** Namespaces of one test and what runs in them, all gone after `close`. */
export class NamespaceLab {
  readonly #prefix: string;
  readonly #names = new Set<string>();
  readonly #programs = new Set<Program>();

  constructor(prefix: string) {
    this.#prefix = `${prefix}${process.pid}-`;
  }

  name(short: string): string {
    return `${this.#prefix}${short}`;
  }

  path(short: string): string {
    return `/run/netns/${this.name(short)}`;
  }

  async add(...shorts: readonly string[]): Promise<void> {
    for (const short of shorts) {
      await execute('ip', ['netns', 'add', this.name(short)]);
      this.#names.add(short);
      await this.ip(short, 'link set lo up');
    }
  }

  async remove(short: string): Promise<void> {
    this.#names.delete(short);
    await execute('ip', ['netns', 'del', this.name(short)]);
  }

  /** `ip …` in one namespace. */
  async ip(short: string, words: string): Promise<void> {
    await execute('ip', ['-n', this.name(short), ...words.split(' ')]);
  }

  /** A cable between two namespaces with an address at each end. */
  async cable(a: string, aLink: string, aCidr: string, b: string, bLink: string, bCidr: string): Promise<void> {
    await this.ip(a, `link add ${aLink} type veth peer name ${bLink} netns ${this.name(b)}`);
    for (const [short, link, cidr] of [
      [a, aLink, aCidr],
      [b, bLink, bCidr],
    ] as const) {
      await this.ip(short, `addr add ${cidr} dev ${link}`);
      await this.ip(short, `link set ${link} up`);
    }
  }

  async run(short: string, ...argv: readonly string[]): Promise<string> {
    const { stdout } = await execute('nsenter', [`--net=${this.path(short)}`, ...argv]);
    return stdout;
  }

  /** A program of this folder in a namespace; resolves when it printed `ready`. */
  async start(short: string, program: string, ...argv: readonly string[]): Promise<Program> {
    const path = new URL(program, import.meta.url).pathname;
    const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
      'nsenter',
      [`--net=${this.path(short)}`, process.execPath, path, ...argv],
      { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env.PATH ?? '' } },
    );
    const exited = once(child, 'exit');
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => {
      const line = await lines.next();
      if (line.done) throw new Error(`${program} ended`);
      return line.value;
    };
    const running: Program = {
      ask: async (line) => {
        child.stdin.write(`${line}\n`);
        return next();
      },
      stop: async () => {
        this.#programs.delete(running);
        child.stdin.end();
        await exited;
      },
    };
    this.#programs.add(running);
    await next();
    return running;
  }

  async close(): Promise<void> {
    for (const program of [...this.#programs]) await program.stop();
    for (const short of [...this.#names]) await this.remove(short);
  }
}
