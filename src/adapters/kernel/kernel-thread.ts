/**
 * The agent's side of the kernel's thread (see `kernel-worker.ts`): jobs, their time limits, and another thread for one that ended.
 *
 * A thread is never terminated: koffi ends the whole process (`napi_throw`) when that happens while it is being called. It is told
 * to begin nothing more, and ends by itself. V8 would terminate one that has more on its heap than it may, so one that has half
 * of that ends before, when it has nothing to do: it keeps nothing that could not be asked for again.
 */
import { Worker } from 'node:worker_threads';
import { OverlaydError } from '../../core/errors.ts';
import { SILENT, type Telemetry } from '../../core/telemetry.ts';
import { endTurn } from '../native/libnftables.ts';
import type { Ask, FromThread, JobName, Tell, ToThread } from './jobs.ts';
import type { KernelWorkerInput } from './kernel-worker.ts';
import { Leave } from './leave.ts';
import { failure } from './plain-error.ts';

export interface KernelThreadOptions {
  /** The `kernel-worker` program, as source (`.ts`) or bundled. */
  readonly workerPath: string;
  /** A process of the host that is acted upon; undefined: this host. */
  readonly hostPid?: number;
  /** For one job, milliseconds. */
  readonly limitMs?: number;
  /** With more on its heap a thread is followed by another one. */
  readonly heapBytes?: number;
  readonly telemetry?: Telemetry;
}

const LIMIT_MS = 30_000;
/** Of all threads of this process: one that hangs is followed by another, and tests have several. */
const NFTABLES_TURN = new SharedArrayBuffer(4);
const MIB = 1_048_576;
const HEAP_MIB = 256;
/** It holds no more than the last look at each network's namespace, and the rows of that are not on its heap. */
const RESOURCES = { maxOldGenerationSizeMb: HEAP_MIB, maxYoungGenerationSizeMb: 4, stackSizeMb: 2 } as const;

/** A worker, and the word by which it is told to end (see `Leave`). */
interface Running {
  readonly worker: Worker;
  readonly leave: Leave;
  readonly ended: Promise<unknown>;
}

interface Waiting {
  readonly running: Running;
  readonly what: JobName;
  readonly settle: (end: FromThread | OverlaydError) => void;
}

export class KernelThread {
  readonly #options: KernelThreadOptions;
  readonly #waiting = new Map<number, Waiting>();
  #running: Running | undefined;
  /** When the last that grew too large has ended. */
  #retired: Promise<unknown> | undefined;
  #lastId = 0;

  /** Starts when it is first asked. */
  constructor(options: KernelThreadOptions) {
    this.#options = options;
  }

  /**
   * Throws `data-path-failed` (retryable: also when the thread ended or did not answer in time, what it did is not known),
   * `tool-missing`, `cancelled`: what was begun is brought to its end all the same.
   */
  ask<K extends JobName>(job: K, ask: Ask<K>, signal?: AbortSignal): Promise<Tell<K>> {
    const { telemetry = SILENT } = this.#options;
    return telemetry.run('kernel', { call: job }, () => this.#ask(job, ask, signal));
  }

  async #ask<K extends JobName>(job: K, ask: Ask<K>, signal?: AbortSignal): Promise<Tell<K>> {
    if (signal?.aborted) throw cancelled(job);
    const running = this.#started();
    const { worker } = running;
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve } = Promise.withResolvers<FromThread | OverlaydError>();
    const { heapBytes = (HEAP_MIB / 2) * MIB, limitMs = LIMIT_MS } = this.#options;
    let isLarge = false;
    const onAbort = () => resolve(cancelled(job));
    const limit = setTimeout(() => this.#leave(running, `did not answer within ${limitMs / 1000} s`), limitMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(id, { running, what: job, settle: resolve });
    worker.ref();
    worker.postMessage({ id, job, ask } as ToThread);
    try {
      const end = await promise;
      if (end instanceof OverlaydError) throw end;
      isLarge = end.heapBytes > heapBytes;
      if (!end.ok) throw failure(DOING[job], end.error);
      return end.tell as Tell<K>;
    } finally {
      clearTimeout(limit);
      signal?.removeEventListener('abort', onAbort);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) {
        worker.unref();
        if (isLarge) this.#retire(running);
      }
    }
  }

  /** What it was asked fails. Resolves when the thread has ended, after what it is just doing. */
  async close(): Promise<void> {
    const running = this.#running;
    if (running) {
      this.#leave(running, 'was closed');
      running.worker.ref();
    }
    await Promise.all([running?.ended, this.#retired]);
  }

  /** It has nothing to do. */
  #retire(running: Running): void {
    this.#leave(running, 'has too much on its heap');
    running.worker.ref();
    this.#retired = running.ended;
  }

  #started(): Running {
    if (this.#running) return this.#running;
    const leave = new Leave();
    const input: KernelWorkerInput = {
      hostPid: this.#options.hostPid,
      nftablesTurn: NFTABLES_TURN,
      leave: leave.shared,
    };
    const worker = new Worker(this.#options.workerPath, { workerData: input, resourceLimits: RESOURCES });
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const running: Running = { worker, leave, ended };
    this.#running = running;
    worker.on('message', (message: FromThread) => this.#waiting.get(message.id)?.settle(message));
    worker.on('error', (error) => this.#leave(running, `ended: ${error.message}`));
    const { threadId } = worker;
    worker.on('exit', () => {
      endTurn(NFTABLES_TURN, threadId);
      this.#leave(running, 'ended');
      resolve();
    });
    // Only jobs keep this process from ending.
    worker.unref();
    return running;
  }

  /** What it was doing is not known; the next job has another thread. One that hangs in a call ends when the call does. */
  #leave(running: Running, how: string): void {
    if (this.#running === running) this.#running = undefined;
    for (const entry of this.#waiting.values()) {
      if (entry.running !== running) continue;
      const message = `${DOING[entry.what]} failed: the kernel's thread ${how}; what it did is not known`;
      entry.settle(new OverlaydError('data-path-failed', message, { retryable: true }));
    }
    running.leave.ask();
    // To wake it, where it has nothing to do.
    running.worker.postMessage(undefined);
  }
}

const DOING: Readonly<Record<JobName, string>> = {
  lacks: 'finding out what this host lacks',
  look: "reading the kernel's state",
  carryOut: "changing the kernel's state",
  filters: 'reading the filters of networks',
  beside: "reading the kernel's state",
  routing: "reading the host's addresses and routes",
  uplinks: "reading the host's links",
  rules: "reading the host's firewall",
  counters: "reading the host's firewall",
  listFlows: "reading the host's connections",
  endConnections: 'ending connections',
  endSilent: 'ending silent connections',
  wireguardModule: 'looking for WireGuard in the kernel',
  wireguardLook: "reading WireGuard's links",
  wireguardSteps: "changing WireGuard's links",
};

function cancelled(job: JobName): OverlaydError {
  return new OverlaydError('cancelled', `${DOING[job]} was cancelled`);
}
