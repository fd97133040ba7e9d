/**
 * A watch that never ends: a snapshot at revision R, then every change from R + 1 on, over as many streams, endpoints
 * and outages as it takes. It resumes where it was; it lists again when that was compacted away, when the store knows
 * less than we do, and now and then, because servers have lost events around compactions (etcd issue 18089, 19179).
 */
import { status } from '@grpc/grpc-js';
import { type ResponseHeader, WatchService } from '../../gen/etcd/rpc.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { StoreEntry, WatchUpdate } from '../../ports/store.ts';
import type { EtcdConnection } from './connection.ts';
import type { Link } from './link.ts';
import { type Asked, askedOfPrefix } from './refusal.ts';
import { asStoreError, StatusError } from './store-error.ts';
import { UpdateQueue } from './update-queue.ts';
import { followStream, PROGRESS_INTERVAL_MS, type StreamEnd } from './watch-stream.ts';

const STALL_AFTER_MS = 2 * PROGRESS_INTERVAL_MS;
const RELIST_EVERY_MS = 30 * 60_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

export interface WatchDeps {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly list: (prefix: string) => Promise<{ readonly revision: number; readonly entries: StoreEntry[] }>;
}

export async function* watchPrefix(
  deps: WatchDeps,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<WatchUpdate, void, undefined> {
  const queue = new UpdateQueue();
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  either.addEventListener('abort', () => queue.end(), { once: true });
  if (either.aborted) return;
  const watcher = new Watcher(deps, prefix, queue).run(either);
  try {
    yield* queue.drain();
  } finally {
    stop.abort();
    await watcher;
  }
}

class Watcher {
  readonly #deps: WatchDeps;
  readonly #prefix: string;
  readonly #queue: UpdateQueue;
  readonly #asked: Asked;
  /** Everything up to here is delivered; undefined: list first. */
  #position: number | undefined;
  #listedAt = 0;
  #heardAt: number;
  #stalled = false;
  #failures = 0;

  constructor(deps: WatchDeps, prefix: string, queue: UpdateQueue) {
    this.#deps = deps;
    this.#prefix = prefix;
    this.#asked = askedOfPrefix(prefix);
    this.#queue = queue;
    this.#heardAt = deps.clock.elapsed();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const listed = this.#position === undefined;
        if (listed) await this.#list();
        if (!signal.aborted) this.#judge(await this.#follow(listed, signal));
      } catch (error) {
        if (signal.aborted) return;
        this.#lost(asStoreError(error, this.#deps.connection.status().endpoints[0]!).message);
      }
      if (this.#failures === 0) continue;
      const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#failures - 1));
      await this.#deps.clock.sleep(waitMs * (0.5 + Math.random() / 2), signal).catch(() => undefined);
    }
  }

  async #list(): Promise<void> {
    const { revision, entries } = await this.#deps.list(this.#prefix);
    this.#listedAt = this.#deps.clock.elapsed();
    this.#position = revision;
    this.#heard();
    this.#stalled = false;
    this.#queue.push({ kind: 'snapshot', revision, entries });
  }

  async #follow(listed: boolean, signal: AbortSignal): Promise<StreamEnd | undefined> {
    const { connection, clock } = this.#deps;
    const link = await connection.link(signal);
    const reader = {
      heard: (header: ResponseHeader | undefined) => {
        connection.heard(header, link);
        connection.watched(link, this.#asked);
        this.#heard();
      },
      advanced: (revision: number, events: Extract<WatchUpdate, { kind: 'events' }>['events']) => {
        if (revision === this.#position && events.length === 0 && !this.#stalled) return;
        this.#stalled = false;
        this.#position = revision;
        this.#queue.push({ kind: 'events', revision, events });
      },
    };
    const age = clock.elapsed() - this.#listedAt;
    const lifetimeMs = Math.max(0, RELIST_EVERY_MS * (0.75 + Math.random() / 2) - age);
    const options = { prefix: this.#prefix, after: this.#position ?? 0, listed, lifetimeMs };
    const either = AbortSignal.any([signal, link.over]);
    try {
      const end = await followStream({ stream: link.stream(WatchService.watch), clock, reader }, options, either);
      if (end.kind === 'broken') this.#broke(link, end.error);
      if (end.kind === 'refused') {
        connection.watched(link, this.#asked, end.error);
        this.#lost(asStoreError(end.error, link.endpoint).message, link.endpoint);
      }
      if (end.kind === 'silent') this.#broke(link, new StatusError(status.DEADLINE_EXCEEDED, 'no answer on the watch'));
      return end;
    } catch (error) {
      if (signal.aborted || !link.over.aborted) throw error;
      if (!link.isRetired) this.#broke(link, link.over.reason);
      return undefined;
    }
  }

  #broke(link: Link, error: unknown): void {
    this.#deps.connection.failed(link, error);
    this.#lost(asStoreError(error, link.endpoint).message, link.endpoint);
  }

  /** Undefined: another connection is used from now on, and goes on where this one was. */
  #judge(end: StreamEnd | undefined): void {
    if (end?.kind === 'silent') this.#stall();
    if (end === undefined || end.kind === 'broken' || end.kind === 'refused' || end.kind === 'silent') return;
    this.#deps.logger.debug({ prefix: this.#prefix, why: end.kind, position: this.#position }, 'listing again');
    this.#position = undefined;
  }

  #heard(): void {
    this.#heardAt = this.#deps.clock.elapsed();
    this.#failures = 0;
  }

  #lost(reason: string, endpoint?: string): void {
    if (this.#failures++ === 0) {
      this.#deps.logger.warn({ prefix: this.#prefix, endpoint, reason }, 'etcd watch lost, retrying');
    }
    if (this.#deps.clock.elapsed() - this.#heardAt >= STALL_AFTER_MS) this.#stall();
  }

  #stall(): void {
    if (this.#stalled) return;
    this.#stalled = true;
    this.#queue.push({ kind: 'stalled' });
  }
}
