/** What every `ClusterStore` does, asked of the one in memory and of a real etcd. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { isOverlaydError } from '../../src/core/errors.ts';
import type { ClusterStore, Compare, WatchUpdate, Write } from '../../src/ports/store.ts';

export interface StoreLink {
  readonly store: ClusterStore;
  /** Nothing passes between this store and etcd; nobody is told. */
  cut(): void;
  heal(): void;
}

export interface StoreHarness {
  /** A client with a connection of its own. */
  open(): StoreLink;
  compact(revision: number): Promise<void>;
  /** Revokes the lease that holds the key. */
  revokeLeaseOf(key: string): Promise<void>;
  /** SIGKILL, and a start that returns when the server answers. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Resolves when it is. */
  freeze(): Promise<void>;
  thaw(): void;
  /** Waits for the promise; where time is virtual, lets it go on. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const put = (key: string, value: string): Write => ({ kind: 'put', key, value });
const absent = (key: string): Compare => ({ kind: 'absent', key });

export function describeStore(name: string, create: () => Promise<StoreHarness>): void {
  describe(name, () => {
    let harness: StoreHarness;
    let store: ClusterStore;
    let prefix = '';
    let count = 0;
    let abort = new AbortController();

    beforeAll(async () => {
      harness = await create();
      store = harness.open().store;
    });
    afterAll(async () => {
      await harness.close();
    });
    afterEach(() => {
      abort.abort();
      abort = new AbortController();
    });

    const fresh = () => {
      prefix = `/contract/${++count}/`;
      return prefix;
    };
    const write = async (...writes: Write[]) => (await harness.settle(store.txn([], writes))).revision;
    const tryTxn = (compares: Compare[]) => harness.settle(store.txn(compares, []));
    const read = async (key: string) => (await harness.settle(store.get(key)))?.value;
    const follow = (from: ClusterStore = store) => new Follower(harness, from.watch(prefix, abort.signal));

    test('get and list answer with revisions, in key order, and of the prefix only', async () => {
      const p = fresh();
      expect(await read(`${p}a`)).toBeUndefined();
      const first = await write(put(`${p}b`, 'ü'));
      const second = await write(put(`${p}a`, ''), put(`${p.slice(0, -1)}0`, 'beyond'));
      expect(second).toBe(first + 1);
      expect(await harness.settle(store.get(`${p}b`))).toEqual({ key: `${p}b`, value: 'ü', revision: first });
      const listed = await harness.settle(store.list(p));
      expect(listed.revision).toBeGreaterThanOrEqual(second);
      expect(listed.entries).toEqual([
        { key: `${p}a`, value: '', revision: second },
        { key: `${p}b`, value: 'ü', revision: first },
      ]);
    });

    test('lists more than one page at one revision', async () => {
      const p = fresh();
      const keys = Array.from({ length: 1_050 }, (_, i) => `${p}${String(i).padStart(5, '0')}`);
      for (let i = 0; i < keys.length; i += 128) await write(...keys.slice(i, i + 128).map((key) => put(key, 'x')));
      const { entries } = await harness.settle(store.list(p));
      expect(entries.map((entry) => entry.key)).toEqual(keys);
    });

    test('each compare holds when it should and only then', async () => {
      const p = fresh();
      const revision = await write(put(`${p}there`, '1'));
      const there = `${p}there`;
      const missing = `${p}missing`;
      const holds = async (compare: Compare) => (await tryTxn([compare])).succeeded;
      expect(await holds(absent(missing))).toBe(true);
      expect(await holds(absent(there))).toBe(false);
      expect(await holds({ kind: 'exists', key: there })).toBe(true);
      expect(await holds({ kind: 'exists', key: missing })).toBe(false);
      expect(await holds({ kind: 'revision', key: there, revision })).toBe(true);
      expect(await holds({ kind: 'revision', key: there, revision: revision - 1 })).toBe(false);
      expect(await holds({ kind: 'revision', key: missing, revision })).toBe(false);
      expect(await holds({ kind: 'empty', prefix: `${p}none/` })).toBe(true);
      expect(await holds({ kind: 'empty', prefix: p })).toBe(false);
      expect(await holds({ kind: 'empty', prefix: `${p}the` })).toBe(false);
      expect(await holds({ kind: 'empty', prefix: p, after: revision })).toBe(true);
      expect(await holds({ kind: 'empty', prefix: p, after: revision - 1 })).toBe(false);
      expect((await tryTxn([absent(missing), absent(there)])).succeeded).toBe(false);
    });

    test('a refused transaction changes nothing; a deletion of nothing has no revision', async () => {
      const p = fresh();
      const before = await write(put(`${p}a`, '1'));
      const refused = await harness.settle(store.txn([absent(`${p}a`)], [put(`${p}b`, '2')]));
      expect(refused).toEqual({ succeeded: false, revision: before, deleted: [] });
      expect(await read(`${p}b`)).toBeUndefined();
      expect(await write({ kind: 'delete', key: `${p}none` })).toBe(before);
    });

    test('writes of one transaction happen at one revision', async () => {
      const p = fresh();
      await write(put(`${p}gone`, '1'), put(`${p}d/1`, '1'), put(`${p}d/2`, '1'));
      const revision = await write(
        put(`${p}new`, '1'),
        { kind: 'delete', key: `${p}gone` },
        { kind: 'delete-prefix', prefix: `${p}d/` },
      );
      const { entries } = await harness.settle(store.list(p));
      expect(entries).toEqual([{ key: `${p}new`, value: '1', revision }]);
    });

    test('says which keys went with their prefix, and no others', async () => {
      const p = fresh();
      await write(put(`${p}a`, '1'), put(`${p}d/1`, '1'), put(`${p}d/2`, '2'), put(`${p}e/1`, '1'));
      const prefixes = ['d/', 'e/', 'none/'].map((each) => ({ kind: 'delete-prefix', prefix: `${p}${each}` }) as const);
      const writes: Write[] = [put(`${p}a`, '2'), { kind: 'delete', key: `${p}d` }, ...prefixes];
      const { deleted } = await harness.settle(store.txn([], writes));
      expect([...deleted].sort()).toEqual([`${p}d/1`, `${p}d/2`, `${p}e/1`]);
      expect((await harness.settle(store.txn([absent(`${p}a`)], prefixes))).deleted).toEqual([]);
    });

    test('of racing creations of one key exactly one wins', async () => {
      const p = fresh();
      const stores = [store, harness.open().store, harness.open().store];
      const race = Array.from({ length: 30 }, (_, i) =>
        stores[i % stores.length]!.txn([absent(`${p}name`)], [put(`${p}name`, String(i))]),
      );
      const results = await harness.settle(Promise.all(race));
      const winners = results.flatMap((result, i) => (result.succeeded ? [String(i)] : []));
      expect(winners).toHaveLength(1);
      expect(await read(`${p}name`)).toBe(winners[0]);
    });

    test('of racing writers into an empty prefix exactly one wins', async () => {
      const p = fresh();
      const stores = [store, harness.open().store];
      const race = Array.from({ length: 30 }, (_, i) =>
        stores[i % stores.length]!.txn([{ kind: 'empty', prefix: p }], [put(`${p}${i}`, '')]),
      );
      const results = await harness.settle(Promise.all(race));
      expect(results.filter((result) => result.succeeded)).toHaveLength(1);
      expect((await harness.settle(store.list(p))).entries).toHaveLength(1);
    });

    test('refuses too many operations, one key twice, and an unknown lease', async () => {
      const p = fresh();
      const many = Array.from({ length: 129 }, (_, i) => put(`${p}${i}`, ''));
      await expect(harness.settle(store.txn([], many))).rejects.toMatchObject({ code: 'store-failed' });
      for (const writes of [
        [put(`${p}a`, '1'), put(`${p}a`, '2')],
        [put(`${p}a`, '1'), { kind: 'delete-prefix', prefix: p } as const],
        [{ kind: 'put', key: `${p}a`, value: '', lease: '4242' } as const],
      ]) {
        await expect(harness.settle(store.txn([], writes))).rejects.toMatchObject({ code: 'store-failed' });
      }
      expect((await harness.settle(store.list(p))).entries).toEqual([]);
    });

    test('a watch begins with a snapshot and goes on with every change in order', async () => {
      const p = fresh();
      const before = await write(put(`${p}a`, '1'));
      const follower = follow();
      const snapshot = await follower.next();
      expect(snapshot).toMatchObject({ kind: 'snapshot', entries: [{ key: `${p}a`, value: '1', revision: before }] });
      const second = await write(put(`${p}a`, '2'), put(`${p}b`, '1'));
      const third = await write({ kind: 'delete', key: `${p}a` });
      await write(put(`${p.slice(0, -1)}0`, 'beyond'));
      await follower.until(third);
      expect(follower.events()).toEqual([
        { key: `${p}a`, value: '2', revision: second },
        { key: `${p}b`, value: '1', revision: second },
        { key: `${p}a`, value: undefined, revision: third },
      ]);
    });

    test('all of a transaction comes in one update', async () => {
      const p = fresh();
      const follower = follow();
      await follower.next();
      const writes = Array.from({ length: 128 }, (_, i) => put(`${p}${i}`, 'x'.repeat(11_000)));
      const revision = await write(...writes);
      await follower.until(revision);
      const updates = follower.seen.filter((update) => update.kind === 'events' && update.events.length > 0);
      expect(updates).toHaveLength(1);
      expect(follower.events()).toHaveLength(128);
    });

    test('a watch reports progress when only others changed', async () => {
      fresh();
      const follower = follow();
      await follower.next();
      const revision = await write(put('/contract/elsewhere', 'x'));
      await follower.until(revision);
      expect(follower.events()).toEqual([]);
    });

    test('a watch ends when its signal aborts', async () => {
      fresh();
      const follower = follow();
      await follower.next();
      abort.abort();
      expect(await harness.settle(follower.iterator.next())).toMatchObject({ done: true });
    });

    test('a watch goes on after the server was killed, without loss and without a new snapshot', async () => {
      const p = fresh();
      const follower = follow();
      await follower.next();
      await write(put(`${p}before`, ''));
      await harness.kill();
      await expect(harness.settle(store.get(`${p}before`))).rejects.toMatchObject({
        code: 'store-unavailable',
        retryable: true,
      });
      await harness.start();
      const revision = await write(put(`${p}after`, ''), { kind: 'delete', key: `${p}before` });
      await follower.until(revision);
      expect(follower.snapshots()).toBe(1);
      expect(follower.events().map(({ key, value }) => [key, value])).toEqual([
        [`${p}before`, ''],
        [`${p}after`, ''],
        [`${p}before`, undefined],
      ]);
    });

    test('a frozen server is noticed once, and the watch goes on when it is back', async () => {
      const p = fresh();
      const follower = follow();
      await follower.next();
      await harness.freeze();
      try {
        expect(await follower.next()).toEqual({ kind: 'stalled' });
        const call = harness.settle(store.txn([], [put(`${p}x`, '')]));
        await expect(call).rejects.toSatisfy((error) => isOverlaydError(error, 'store-unavailable'));
      } finally {
        harness.thaw();
      }
      expect(await follower.next()).toMatchObject({ kind: 'events' });
      const revision = await write(put(`${p}after`, ''));
      await follower.until(revision);
      expect(follower.seen.filter((update) => update.kind === 'stalled')).toHaveLength(1);
      expect(follower.snapshots()).toBe(1);
    });

    test('a node cut off catches up by events, or by a snapshot when history was compacted', async () => {
      const p = fresh();
      const { store: far, cut, heal } = harness.open();
      const follower = follow(far);
      await write(put(`${p}old`, '1'));
      await follower.next();

      cut();
      expect(await follower.skipTo('stalled')).toEqual({ kind: 'stalled' });
      const missed = await write(put(`${p}missed`, '1'));
      heal();
      await follower.until(missed);
      expect(follower.snapshots()).toBe(1);

      cut();
      await follower.skipTo('stalled');
      await write({ kind: 'delete', key: `${p}old` });
      const last = await write(put(`${p}kept`, '1'));
      await harness.compact(last);
      heal();
      await follower.until(last);
      expect(follower.snapshots()).toBe(2);
      const snapshot = follower.seen.findLast((update) => update.kind === 'snapshot');
      expect(snapshot?.entries.map((entry) => entry.key)).toEqual([`${p}kept`, `${p}missed`]);
    });

    test('a watch that finds no server delivers when there is one', async () => {
      const p = fresh();
      const { store: far, cut, heal } = harness.open();
      cut();
      const follower = follow(far);
      expect(await follower.next()).toEqual({ kind: 'stalled' });
      await write(put(`${p}a`, ''));
      heal();
      expect(await follower.next()).toMatchObject({ kind: 'snapshot', entries: [{ key: `${p}a` }] });
    });

    test('the keys of a lease that nobody keeps go away', async () => {
      const p = fresh();
      const lease = await harness.settle(store.grantLease(1));
      const follower = follow();
      await follower.next();
      await write({ kind: 'put', key: `${p}leased`, value: '1', lease }, put(`${p}durable`, '1'));
      await follower.untilEvent((event) => event.key === `${p}leased` && event.value === undefined);
      expect(await read(`${p}leased`)).toBeUndefined();
      expect(await read(`${p}durable`)).toBe('1');
    });

    test('a live key stays while it is kept, comes back after its lease was revoked, and goes in the end', async () => {
      const p = fresh();
      const key = `${p}live`;
      const follower = follow();
      await follower.next();
      const stop = new AbortController();
      const kept = store.keepLive(key, 'me', 1, stop.signal);
      const came = { key, value: 'me', revision: expect.any(Number) };
      const went = { key, value: undefined, revision: expect.any(Number) };
      await follower.untilEvent((event) => event.value === 'me');

      // Another lease of the same length ends meanwhile: the kept one does not.
      const lease = await harness.settle(store.grantLease(1));
      await write({ kind: 'put', key: `${p}other`, value: '', lease });
      await follower.untilEvent((event) => event.key === `${p}other` && event.value === undefined);
      expect(await read(key)).toBe('me');

      await harness.revokeLeaseOf(key);
      await follower.untilEvent((event, earlier) => event.value === 'me' && earlier.some((e) => isGone(e, key)));
      expect(follower.events().filter((event) => event.key === key)).toEqual([came, went, came]);

      stop.abort();
      await harness.settle(kept);
      expect(await read(key)).toBe('me');
      await follower.untilEvent((event, earlier) => isGone(event, key) && earlier.some((e) => isGone(e, key)));
    });
  });
}

type StoreEvent = Extract<WatchUpdate, { kind: 'events' }>['events'][number];

const isGone = (event: StoreEvent, key: string) => event.key === key && event.value === undefined;

/** Reads a watch and remembers what came. */
class Follower {
  readonly iterator: AsyncIterator<WatchUpdate>;
  readonly seen: WatchUpdate[] = [];
  readonly #harness: StoreHarness;

  constructor(harness: StoreHarness, updates: AsyncIterable<WatchUpdate>) {
    this.#harness = harness;
    this.iterator = updates[Symbol.asyncIterator]();
  }

  async next(): Promise<WatchUpdate> {
    const { done, value } = await this.#harness.settle(this.iterator.next());
    if (done) throw new Error('the watch ended');
    this.seen.push(value);
    return value;
  }

  async skipTo(kind: WatchUpdate['kind']): Promise<WatchUpdate> {
    while (true) {
      const update = await this.next();
      if (update.kind === kind) return update;
    }
  }

  async until(revision: number): Promise<void> {
    const reached = (update: WatchUpdate | undefined) =>
      update !== undefined && update.kind !== 'stalled' && update.revision >= revision;
    while (!reached(this.seen.at(-1))) await this.next();
  }

  async untilEvent(matches: (event: StoreEvent, earlier: readonly StoreEvent[]) => boolean): Promise<void> {
    while (!this.events().some((event, i, all) => matches(event, all.slice(0, i)))) await this.next();
  }

  events(): StoreEvent[] {
    return this.seen.flatMap((update) => (update.kind === 'events' ? update.events : []));
  }

  snapshots(): number {
    return this.seen.filter((update) => update.kind === 'snapshot').length;
  }
}
