/** The agent's side of the kernel's thread (see `kernel-worker.ts`): jobs, their time limits, and another thread for one that ended. */
import { Worker } from 'node:worker_threads';
import { OverlaydError } from '../../core/errors.ts';
import { endTurn } from '../native/libnftables.ts';
import type { Ask, FromThread, JobName, Tell, ToThread } from './jobs.ts';
import type { KernelWorkerInput } from './kernel-worker.ts';
import { failure } from './plain-error.ts';

export interface KernelThreadOptions {
  /** The `kernel-worker` program, as source (`.ts`) or bundled. */
  readonly workerPath: string;
  /** A process of the host that is acted upon; undefined: this host. */
  readonly hostPid?: number;
  /** For one job, milliseconds. */
  readonly limitMs?: number;
}

const LIMIT_MS = 30_000;
/** Of all threads of this process: one that hangs is followed by another, and tests have several. */
const NFTABLES_TURN = new SharedArrayBuffer(4);
/** It holds no more than the last look at each network's namespace. */
const RESOURCES = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 4, stackSizeMb: 2 } as const;

interface Waiting {
  readonly worker: Worker;
  readonly what: JobName;
  readonly settle: (end: FromThread | OverlaydError) => void;
}

export class KernelThread {
  readonly #options: KernelThreadOptions;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #lastId = 0;

  /** Starts when it is first asked. */
  constructor(options: KernelThreadOptions) {
    this.#options = options;
  }

  /**
   * Throws `data-path-failed` (retryable: also when the thread ended or did not answer in time, what it did is not known),
   * `tool-missing`, `cancelled`: what was begun is brought to its end all the same.
   */
  async ask<K extends JobName>(job: K, ask: Ask<K>, signal?: AbortSignal): Promise<Tell<K>> {
    if (signal?.aborted) throw cancelled(job);
    const worker = this.#running();
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve } = Promise.withResolvers<FromThread | OverlaydError>();
    const { limitMs = LIMIT_MS } = this.#options;
    const onAbort = () => resolve(cancelled(job));
    const limit = setTimeout(() => this.#ended(worker, `did not answer within ${limitMs / 1000} s`), limitMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(id, { worker, what: job, settle: resolve });
    worker.ref();
    worker.postMessage({ id, job, ask } as ToThread);
    try {
      const end = await promise;
      if (end instanceof OverlaydError) throw end;
      if (!end.ok) throw failure(DOING[job], end.error);
      return end.tell as Tell<K>;
    } finally {
      clearTimeout(limit);
      signal?.removeEventListener('abort', onAbort);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
    }
  }

  /** Ends the thread; what it was asked fails. */
  close(): void {
    if (this.#worker) this.#ended(this.#worker, 'was closed');
  }

  #running(): Worker {
    if (this.#worker) return this.#worker;
    const input: KernelWorkerInput = { hostPid: this.#options.hostPid, nftablesTurn: NFTABLES_TURN };
    const worker = new Worker(this.#options.workerPath, { workerData: input, resourceLimits: RESOURCES });
    this.#worker = worker;
    worker.on('message', (message: FromThread) => this.#waiting.get(message.id)?.settle(message));
    worker.on('error', (error) => this.#ended(worker, `ended: ${error.message}`));
    const { threadId } = worker;
    worker.on('exit', () => {
      endTurn(NFTABLES_TURN, threadId);
      this.#ended(worker, 'ended');
    });
    // Only jobs keep this process from ending.
    worker.unref();
    return worker;
  }

  /** What it was doing is not known; the next job has another thread. One that hangs in a call ends when the call does. */
  #ended(worker: Worker, how: string): void {
    if (this.#worker === worker) this.#worker = undefined;
    for (const entry of this.#waiting.values()) {
      if (entry.worker !== worker) continue;
      const message = `${DOING[entry.what]} failed: the kernel's thread ${how}; what it did is not known`;
      entry.settle(new OverlaydError('data-path-failed', message, { retryable: true }));
    }
    void worker.terminate();
  }
}

const DOING: Readonly<Record<JobName, string>> = {
  lacks: 'finding out what this host lacks',
  look: "reading the kernel's state",
  carryOut: "changing the kernel's state",
  filters: 'reading the filters of networks',
  routing: "reading the host's addresses and routes",
  rules: "reading the host's firewall",
};

function cancelled(job: JobName): OverlaydError {
  return new OverlaydError('cancelled', `${DOING[job]} was cancelled`);
}
