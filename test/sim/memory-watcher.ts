/** A watch of the etcd in memory, over one node's way to it. */
import type { UpdateQueue } from '../../src/adapters/etcd/update-queue.ts';
import type { Change, MemoryStore } from './memory-store.ts';

const STALL_AFTER_MS = 3_000;
const PROGRESS_AFTER_MS = 1_500;

export class MemoryWatcher {
  readonly #store: MemoryStore;
  readonly #prefix: string;
  readonly #queue: UpdateQueue;
  #position: number | undefined;
  #stalled = false;
  #outage = 0;
  #progressDue = false;

  constructor(store: MemoryStore, prefix: string, queue: UpdateQueue) {
    this.#store = store;
    this.#prefix = prefix;
    this.#queue = queue;
  }

  storeChanged(changes: readonly Change[]): void {
    if (changes.some(({ key }) => key.startsWith(this.#prefix))) void this.#deliver();
    else void this.#reportProgress();
  }

  /** The server says that it is behind: what was held counts for nothing. */
  listAgain(): void {
    this.#position = undefined;
  }

  linkChanged(): void {
    const outage = ++this.#outage;
    if (this.#store.fault === undefined) void this.#deliver();
    else void this.#stallUnlessBack(outage);
  }

  async #deliver(): Promise<void> {
    const { etcd } = this.#store;
    await etcd.delay();
    if (this.#store.fault !== undefined) return;
    const changes = this.#position === undefined ? undefined : etcd.changesSince(this.#prefix, this.#position);
    if (changes === undefined) {
      this.#queue.push({ kind: 'snapshot', revision: etcd.revision, entries: [...etcd.entries(this.#prefix)] });
    } else if (changes.length > 0 || this.#stalled || etcd.revision > this.#position!) {
      this.#queue.push({ kind: 'events', revision: etcd.revision, events: changes });
    }
    this.#position = etcd.revision;
    this.#stalled = false;
  }

  async #reportProgress(): Promise<void> {
    if (this.#progressDue) return;
    this.#progressDue = true;
    await this.#store.etcd.clock.sleep(PROGRESS_AFTER_MS);
    this.#progressDue = false;
    await this.#deliver();
  }

  async #stallUnlessBack(outage: number): Promise<void> {
    if (this.#stalled) return;
    await this.#store.etcd.clock.sleep(STALL_AFTER_MS);
    if (this.#outage !== outage || this.#stalled) return;
    this.#stalled = true;
    this.#queue.push({ kind: 'stalled' });
  }
}
