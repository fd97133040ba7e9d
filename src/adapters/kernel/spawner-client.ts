/** The agent's side of the spawner (see `spawner.ts`): keeps one, and does without whenever there is none. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Clock, Logger } from '../../ports.ts';
import { ENVIRONMENT, type ProcessEnd, type ProcessRequest, type RunProcess, runProcess } from './process.ts';
import type { FromSpawner, ToSpawner } from './spawner.ts';

export interface SpawnerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface SpawnerOptions {
  /** The `spawner` program, as source (`.ts`) or bundled. */
  readonly spawnerPath: string;
  /** The Node executable that runs it. */
  readonly nodePath: string;
}

/** It computes nothing: without compilers and their threads it is smaller, and no slower. */
const SMALL = [
  '--max-semi-space-size=1',
  '--v8-pool-size=0',
  '--no-opt',
  '--no-maglev',
  '--no-sparkplug',
  '--expose-gc',
];
/** mallopt(3): the limit stays where it is, so that what a large output took goes back to the kernel. */
const SMALL_ENVIRONMENT = { ...ENVIRONMENT, MALLOC_MMAP_THRESHOLD_: '131072' };
/** At most one start in this time, should it end again and again. */
const RESTART_MS = 5_000;
/** It keeps time limits itself. One that says nothing for so much longer has stalled. */
const STALLED_MS = 10_000;
const LOST: ProcessEnd = { how: 'killed', by: 'the end of the spawner' };

export class Spawner {
  readonly #deps: SpawnerDeps;
  readonly #options: SpawnerOptions;
  readonly #waiting = new Map<number, { child: ChildProcess; settle: (end: ProcessEnd) => void }>();
  #child: ChildProcess | undefined;
  #up = false;
  #closed = false;
  #startedAtMs = 0;
  #lastId = 0;

  constructor(deps: SpawnerDeps, options: SpawnerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#start();
  }

  /** Of the process that runs commands now; undefined while commands are run without it. */
  get pid(): number | undefined {
    return this.#up ? this.#child?.pid : undefined;
  }

  readonly run: RunProcess = (request, signal) => {
    if (!this.#child && this.#deps.clock.elapsed() - this.#startedAtMs >= RESTART_MS) this.#start();
    return this.#child && this.#up ? this.#ask(this.#child, request, signal) : runProcess(request, signal);
  };

  /** What it runs yet, it brings to an end. */
  close(): void {
    this.#closed = true;
    if (this.#child?.connected) this.#child.disconnect();
  }

  #start(): void {
    if (this.#closed) return;
    this.#startedAtMs = this.#deps.clock.elapsed();
    let child: ChildProcess;
    try {
      child = fork(this.#options.spawnerPath, [], {
        execPath: this.#options.nodePath,
        execArgv: SMALL,
        env: SMALL_ENVIRONMENT,
        // Strings as they are: dumps of thousands of rows are full of what JSON would have to escape.
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      });
    } catch (error) {
      this.#deps.logger.warn({ error }, 'the spawner does not start; commands are started by the agent itself');
      return;
    }
    this.#child = child;
    child.on('message', (message: FromSpawner) => {
      if (message === 'up') this.#up = true;
      else this.#waiting.get(message.id)?.settle(message.end);
    });
    // The channel's end is behind the last answer in it, that of the process may be before.
    child.on('disconnect', () => this.#ended(child));
    child.on('error', (error) => {
      this.#deps.logger.warn({ error }, 'the spawner is not well');
      if (child.pid === undefined) this.#ended(child);
    });
    // Only commands that run keep this process from ending.
    child.unref();
    child.channel?.unref();
  }

  #ended(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#up = false;
    for (const entry of [...this.#waiting.values()]) if (entry.child === child) entry.settle(LOST);
    if (this.#closed) return;
    this.#deps.logger.warn({ pid: child.pid }, 'the spawner ended; commands are started by the agent until it is back');
    if (this.#deps.clock.elapsed() - this.#startedAtMs >= RESTART_MS) this.#start();
  }

  #ask(child: ChildProcess, request: ProcessRequest, signal: AbortSignal | undefined): Promise<ProcessEnd> {
    const { promise, resolve } = Promise.withResolvers<ProcessEnd>();
    this.#lastId += 1;
    const id = this.#lastId;
    const say = (message: ToSpawner) =>
      child.send(message, (error) => {
        if (error) this.#waiting.get(id)?.settle(LOST);
      });
    const onAbort = () => say({ id, cancel: true });
    const stalled = setTimeout(() => child.kill('SIGKILL'), request.limitMs + STALLED_MS);
    const settle = (end: ProcessEnd) => {
      this.#waiting.delete(id);
      clearTimeout(stalled);
      signal?.removeEventListener('abort', onAbort);
      if (this.#waiting.size === 0) child.channel?.unref();
      resolve(end);
    };
    this.#waiting.set(id, { child, settle });
    child.channel?.ref();
    say({ id, request });
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    return promise;
  }
}
