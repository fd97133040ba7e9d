/**
 * An etcd cluster in memory, strict: it refuses what etcd refuses and promises no more. Every node has a handle of its
 * own that can be cut off and healed. Nothing runs on real timers: answers come through microtasks, everything that
 * takes time sleeps on the injected clock. With `delayMs`, requests, answers and watch updates take as long as it says.
 */
import { UpdateQueue } from '../../src/adapters/etcd/update-queue.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import type {
  ClusterStore,
  Compare,
  StoreEntry,
  StoreUsers,
  TxnResult,
  WatchUpdate,
  Write,
} from '../../src/ports/store.ts';
import { failed, unavailable } from './etcd-errors.ts';
import { MemoryAccess } from './memory-access.ts';
import { holds } from './memory-compares.ts';
import { MemoryWatcher } from './memory-watcher.ts';

const CALL_TIMEOUT_MS = 3_000;
const RETRY_MS = 500;
const MAX_TXN_OPERATIONS = 128;

interface StoredKey {
  readonly value: string;
  readonly revision: number;
  readonly lease: string | undefined;
}

interface Backup {
  readonly keys: ReadonlyMap<string, StoredKey>;
  readonly revision: number;
}

export interface Change {
  readonly key: string;
  readonly value: string | undefined;
  readonly revision: number;
}

interface Lease {
  readonly id: string;
  readonly ttlMs: number;
  expiresAt: number;
}

/**
 * `refusing`: calls fail at once (the port is closed). `silent`: they fail after their deadline, and did not happen.
 * `reply-lost`: they fail after their deadline, and did happen.
 */
export type Fault = 'refusing' | 'silent' | 'reply-lost';

export interface MemoryEtcdOptions {
  readonly delayMs?: () => number;
}

export class MemoryEtcd {
  readonly clock: Clock;
  readonly access = new MemoryAccess();
  readonly #options: MemoryEtcdOptions;
  readonly #keys = new Map<string, StoredKey>();
  readonly #leases = new Map<string, Lease>();
  readonly #watchers = new Set<MemoryWatcher>();
  #history: Change[] = [];
  /** All that each transaction changed, since data were put back last. */
  readonly #changed = new Map<number, readonly Change[]>();
  #revision = 1;
  #compacted = 0;
  #leaseCount = 0;
  #fault: Exclude<Fault, 'reply-lost'> | undefined;

  constructor(deps: { readonly clock: Clock }, options: MemoryEtcdOptions = {}) {
    this.clock = deps.clock;
    this.#options = options;
  }

  get revision(): number {
    return this.#revision;
  }

  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** A handle for one node. */
  store(nodeId: string): MemoryStore {
    return new MemoryStore(this, nodeId);
  }

  /** The server itself stops: killed (`refusing`) or frozen (`silent`). Time goes on for leases only when it is back. */
  stop(fault: 'refusing' | 'silent'): void {
    this.#fault = fault;
    for (const watcher of this.#watchers) watcher.linkChanged();
  }

  start(): void {
    const wasKilled = this.#fault === 'refusing';
    this.#fault = undefined;
    // A restarted etcd gives every lease its whole time again.
    if (wasKilled) for (const lease of this.#leases.values()) lease.expiresAt = this.clock.elapsed() + lease.ttlMs;
    for (const lease of this.#leases.values()) this.#expire(lease);
    for (const watcher of this.#watchers) watcher.linkChanged();
  }

  /** Forgets history up to and including `revision`. */
  compact(revision: number = this.#revision): void {
    this.#compacted = revision;
    this.#history = this.#history.filter((change) => change.revision > revision);
  }

  /** What a snapshot of the database holds; leases are none of it, as etcd gives them their whole time again. */
  backUp(): Backup {
    return { keys: new Map(this.#keys), revision: this.#revision };
  }

  /** The server is stopped, its data are put back, and it is started. `revision`: it counts on from there. */
  restore({ keys, revision: old }: Backup, revision = old): void {
    this.stop('refusing');
    this.#keys.clear();
    for (const [key, stored] of keys) {
      if (stored.lease === undefined || this.#leases.has(stored.lease)) this.#keys.set(key, stored);
    }
    this.#revision = revision;
    this.#changed.clear();
    this.#history = [];
    this.#compacted = revision;
    for (const watcher of this.#watchers) watcher.listAgain();
    this.start();
  }

  /** The server's data are gone, and it is started with none. */
  wipe(revision = 1): void {
    this.restore({ keys: new Map(), revision });
  }

  leaseOf(key: string): string | undefined {
    return this.#keys.get(key)?.lease;
  }

  revokeLease(id: string): void {
    if (!this.#leases.delete(id)) return;
    const keys = [...this.#keys].filter(([, stored]) => stored.lease === id).map(([key]) => key);
    this.#commit(keys.sort().map((key) => ({ kind: 'delete', key })));
  }

  /** Everything below the prefix, in key order: what an outside observer of etcd sees. */
  entries(prefix: string): readonly StoreEntry[] {
    return [...this.#keys]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, { value, revision }]) => ({ key, value, revision }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** All that was changed at the revision; undefined when it is from before data were put back. */
  changedAt(revision: number): readonly Change[] | undefined {
    return this.#changed.get(revision);
  }

  /** All values that keys below the prefix ever had, since data were put back last. */
  everPut(prefix: string): readonly string[] {
    const changes = [...this.#changed.values()].flat();
    return changes.flatMap(({ key, value }) => (key.startsWith(prefix) && value !== undefined ? [value] : []));
  }

  /** Changes below the prefix after `revision`; undefined when they are compacted away. */
  changesSince(prefix: string, revision: number): readonly Change[] | undefined {
    if (revision < this.#compacted) return undefined;
    return this.#history.filter((change) => change.revision > revision && change.key.startsWith(prefix));
  }

  /** `user`: for whom; absent: for whoever may everything. */
  txn(compares: readonly Compare[], writes: readonly Write[], user?: string): TxnResult {
    if (user !== undefined) this.access.checkTxn(user, compares, writes);
    this.#refuse(compares, writes);
    const succeeded = compares.every((compare) => holds(this.#keys, compare));
    const deleted = succeeded ? this.#commit(writes) : [];
    return { succeeded, revision: this.#revision, deleted };
  }

  grantLease(ttlSeconds: number): string {
    const id = String(7_587_000_000_000_000_000n + BigInt(++this.#leaseCount));
    const lease = { id, ttlMs: ttlSeconds * 1_000, expiresAt: this.clock.elapsed() + ttlSeconds * 1_000 };
    this.#leases.set(id, lease);
    void this.#watchLease(lease);
    return id;
  }

  /** False: there is no such lease any more. */
  keepAlive(id: string): boolean {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.expiresAt = this.clock.elapsed() + lease.ttlMs;
    return lease !== undefined;
  }

  async delay(): Promise<void> {
    const ms = this.#options.delayMs?.() ?? 0;
    if (ms > 0) await this.clock.sleep(ms);
    else await undefined;
  }

  addWatcher(watcher: MemoryWatcher): void {
    this.#watchers.add(watcher);
  }

  removeWatcher(watcher: MemoryWatcher): void {
    this.#watchers.delete(watcher);
  }

  #refuse(compares: readonly Compare[], writes: readonly Write[]): void {
    if (Math.max(compares.length, writes.length) > MAX_TXN_OPERATIONS) throw failed('too many operations');
    const puts = new Set<string>();
    for (const write of writes) {
      if ((write.kind === 'delete-prefix' ? write.prefix : write.key) === '') throw failed('key is not provided');
      if (write.kind !== 'put') continue;
      if (write.lease !== undefined && !this.#leases.has(write.lease)) throw failed('requested lease not found', true);
      const deleted = writes.some(
        (other) =>
          (other.kind === 'delete' && other.key === write.key) ||
          (other.kind === 'delete-prefix' && write.key.startsWith(other.prefix)),
      );
      if (puts.has(write.key) || deleted) throw failed('duplicate key given in txn request');
      puts.add(write.key);
    }
  }

  /** Returns the keys that went with their prefix. */
  #commit(writes: readonly Write[]): string[] {
    const revision = this.#revision + 1;
    const changes: Change[] = [];
    const deleted: string[] = [];
    const remove = (key: string) => {
      if (this.#keys.delete(key)) changes.push({ key, value: undefined, revision });
    };
    for (const write of writes) {
      if (write.kind === 'put') {
        this.#keys.set(write.key, { value: write.value, revision, lease: write.lease });
        changes.push({ key: write.key, value: write.value, revision });
      } else if (write.kind === 'delete') {
        remove(write.key);
      } else {
        for (const { key } of this.entries(write.prefix)) {
          remove(key);
          deleted.push(key);
        }
      }
    }
    if (changes.length === 0) return deleted;
    this.#revision = revision;
    this.#history.push(...changes);
    this.#changed.set(revision, changes);
    for (const watcher of this.#watchers) watcher.storeChanged(changes);
    return deleted;
  }

  async #watchLease(lease: Lease): Promise<void> {
    while (this.#leases.get(lease.id) === lease) {
      // A stopped server expires nothing; `start` looks again.
      await this.clock.sleep(
        Math.max(1, lease.expiresAt - this.clock.elapsed(), this.#fault === undefined ? 0 : RETRY_MS),
      );
      this.#expire(lease);
    }
  }

  #expire(lease: Lease): void {
    if (this.#fault === undefined && lease.expiresAt <= this.clock.elapsed()) this.revokeLease(lease.id);
  }
}

/** One node's way to the cluster. */
export class MemoryStore implements ClusterStore {
  readonly etcd: MemoryEtcd;
  readonly nodeId: string;
  readonly #watchers = new Set<MemoryWatcher>();
  #fault: Fault | undefined;
  #losing = 0;

  constructor(etcd: MemoryEtcd, nodeId: string) {
    this.etcd = etcd;
    this.nodeId = nodeId;
  }

  get fault(): Fault | undefined {
    return this.etcd.fault ?? this.#fault;
  }

  cut(fault: Fault = 'silent'): void {
    this.#fault = fault;
    for (const watcher of this.#watchers) watcher.linkChanged();
  }

  heal(): void {
    this.#fault = undefined;
    for (const watcher of this.#watchers) watcher.linkChanged();
  }

  /** The next `count` calls happen, but their answers do not come back. */
  loseReplies(count = 1): void {
    this.#losing = Math.max(0, this.#losing + count);
  }

  get(key: string): Promise<StoreEntry | undefined> {
    return this.#call(() => {
      this.etcd.access.checkRead(this.nodeId, key, false);
      return this.etcd.entries(key).find((entry) => entry.key === key);
    });
  }

  list(prefix: string): Promise<{ readonly revision: number; readonly entries: readonly StoreEntry[] }> {
    return this.#call(() => {
      this.etcd.access.checkRead(this.nodeId, prefix, true);
      return { revision: this.etcd.revision, entries: this.etcd.entries(prefix) };
    });
  }

  txn(compares: readonly Compare[], writes: readonly Write[]): Promise<TxnResult> {
    return this.#call(() => this.etcd.txn(compares, writes, this.nodeId));
  }

  get users(): StoreUsers {
    return this.etcd.access.calls(this.nodeId, (run) => this.#call(run));
  }

  grantLease(ttlSeconds: number): Promise<string> {
    return this.#call(() => this.etcd.grantLease(ttlSeconds));
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<WatchUpdate, void, undefined> {
    const queue = new UpdateQueue();
    const watcher = new MemoryWatcher(this, prefix, queue);
    const end = () => {
      this.#watchers.delete(watcher);
      this.etcd.removeWatcher(watcher);
      queue.end();
    };
    if (signal.aborted) return;
    signal.addEventListener('abort', end, { once: true });
    this.#watchers.add(watcher);
    this.etcd.addWatcher(watcher);
    watcher.linkChanged();
    try {
      yield* queue.drain();
    } finally {
      signal.removeEventListener('abort', end);
      end();
    }
  }

  async keepLive(key: string, value: string, ttlSeconds: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.etcd;
    while (!signal.aborted) {
      try {
        let validUntil = clock.elapsed() + ttlSeconds * 1_000;
        const lease = await this.grantLease(ttlSeconds);
        await this.txn([], [{ kind: 'put', key, value, lease }]);
        while (clock.elapsed() < validUntil) {
          await clock.sleep((ttlSeconds * 1_000) / 3, signal);
          if (this.fault === 'refusing' || this.fault === 'silent') continue;
          const sentAt = clock.elapsed();
          if (!this.etcd.keepAlive(lease)) break;
          if (this.fault === undefined) validUntil = sentAt + ttlSeconds * 1_000;
        }
      } catch {
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  async #call<T>(run: () => T): Promise<T> {
    const lost = this.#losing > 0;
    if (lost) this.#losing--;
    await this.etcd.delay();
    const fault = this.fault ?? (lost ? 'reply-lost' : undefined);
    if (fault === 'refusing') throw unavailable('connection refused');
    if (fault === 'silent') return this.#timeOut();
    const answer = run();
    if (fault === 'reply-lost') return this.#timeOut();
    await this.etcd.delay();
    return answer;
  }

  async #timeOut(): Promise<never> {
    await this.etcd.clock.sleep(CALL_TIMEOUT_MS);
    throw unavailable('no answer in time');
  }
}
