import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import type { Host, HostProcess } from './host.ts';
import { until } from './until.ts';

export const SOCKET = '/run/overlayd/overlayd.sock';

/** `overlayd agent` of one host. Its output goes to `agent.log` in the host's directory, over all its runs. */
export class Agent {
  readonly #host: Host;
  #flags: readonly string[] = ['--log-level', 'debug'];
  #program = 'overlayd';
  #process: HostProcess | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Starts it and waits until its control socket takes connections. Flags stay for the next starts. */
  async start(flags: readonly string[] = this.#flags): Promise<void> {
    const process = this.launch(flags);
    let ended: number | undefined;
    void process.exited.then((code) => {
      ended = code;
    });
    await until(`the agent of ${this.#host.name} to answer`, async () => {
      if (ended !== undefined) return true;
      return accepts(this.#host.path(SOCKET));
    });
    if (ended !== undefined) {
      throw new Error(`the agent of ${this.#host.name} ended with ${ended}: see ${this.#host.directory}/agent.log`);
    }
  }

  /** Starts it and does not wait. */
  launch(flags: readonly string[] = this.#flags): HostProcess {
    this.#flags = flags;
    const argv = [this.#program, 'agent', '--data-dir', this.#host.dataDirectory, '--run-dir', '/run/overlayd'];
    this.#process = this.#host.spawn([...argv, ...flags], { log: 'agent.log' });
    return this.#process;
  }

  /** What the next starts start. */
  install(program: string): void {
    this.#program = program;
  }

  /** SIGTERM, and waits for its end. */
  async stop(): Promise<number> {
    return this.#end('SIGTERM');
  }

  async kill(): Promise<number> {
    return this.#end('SIGKILL');
  }

  /** SIGSTOP. */
  async freeze(): Promise<void> {
    await this.#process?.kill('SIGSTOP');
  }

  async thaw(): Promise<void> {
    await this.#process?.kill('SIGCONT');
  }

  async #end(name: NodeJS.Signals): Promise<number> {
    const process = this.#process;
    if (process === undefined) return 0;
    await process.kill(name);
    const code = await process.exited;
    this.#process = undefined;
    return code;
  }
}

/** True when somebody listens on that unix socket. */
async function accepts(path: string): Promise<boolean> {
  if (!existsSync(path)) return false;
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
