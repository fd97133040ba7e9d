/** A move of the store that ends at each of its transactions: what becomes of it, whoever is left. */
import { expect, test } from 'vitest';
import { StoreFollower } from '../../../../src/agent/store/follow.ts';
import { moveStore } from '../../../../src/agent/store/move.ts';
import { UnfinishedMove } from '../../../../src/agent/store/unfinished.ts';
import { decodeCluster, decodeStoreGate, decodeStoreMoved } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import type { StoreAccess } from '../../../../src/ports/store.ts';
import { EPOCH } from '../../../fixtures/records.ts';
import { silent } from '../../../sim/simulated-cluster.ts';
import { API, recordsOf, StoreFixture, WEB } from './store-fixture.ts';

const URL = 'https://192.0.2.7:2379';
const THEIRS = { endpoints: [URL], caCertificate: 'ca', certificate: 'c', key: 'k' };
const move = (fixture: StoreFixture) => moveStore(fixture.deps(), THEIRS, () => undefined);

/** How many transactions a move makes, to an etcd of the user's. */
async function countTransactions(): Promise<number> {
  const fixture = new StoreFixture(WEB, API);
  fixture.dies = 100;
  await move(fixture);
  return 100 - fixture.dies;
}

/** What a member does that follows the store which was to be left: its agent has just heard of the gate, and what else is there. */
function member(fixture: StoreFixture, selfId: string, about: { busy?: boolean; keeper?: boolean } = {}) {
  const followed: StoreAccess[] = [];
  const store = fixture.store(fixture.etcd);
  const follower = new StoreFollower({
    ...{ clusterId: 'c1', nodeId: selfId, clock: fixture.clock, logger: silent },
    table: () => ({ epoch: EPOCH, followed: false }),
    endpoints: () => ['https://192.0.2.9:2379'],
    open: ({ endpoints: [url] }) => ({ store: fixture.store(fixture.other(url!)), close: () => undefined }),
    ready: async () => undefined,
    follow: async (access) => void followed.push(access),
  });
  const unfinished = new UnfinishedMove({
    ...{ selfId, store, clock: fixture.clock, logger: silent },
    isBusy: () => about.busy ?? false,
    isKeeper: () => about.keeper ?? true,
    isAway: (nodeId) => fixture.away.has(nodeId),
    follow: ({ epoch, ...place }) => follower.hear(epoch, place, true),
  });
  const look = () => {
    const held = fixture.held();
    const gate = held.get(keys.storeGate);
    const moved = held.get(keys.storeMoved);
    unfinished.seeGate(gate === undefined ? undefined : decodeStoreGate(gate));
    if (moved !== undefined) unfinished.seeMoved(decodeStoreMoved(moved)!);
  };
  /** For so long, as the agent runs. */
  const run = async (ms: number) => {
    const quit = new AbortController();
    look();
    const running = unfinished.run(quit.signal);
    await fixture.clock.advance(ms);
    quit.abort();
    await running;
  };
  return { followed, run };
}

/** All is where the cluster goes on, whichever store that is. */
function expectWhole(fixture: StoreFixture, before: ReadonlyMap<string, string>) {
  const target = fixture.held(fixture.other(URL));
  const isSaid = fixture.held().has(keys.storeMoved);
  if (!isSaid) return expect(fixture.held()).toEqual(before);
  for (const [key, value] of recordsOf(WEB, API)) expect(target.get(key)).toBe(value);
  expect(target.has(keys.storeGate)).toBe(false);
  expect(decodeCluster(target.get(keys.cluster)!)!.epoch).toBe(
    decodeStoreMoved(fixture.held().get(keys.storeMoved)!)!.epoch,
  );
}

const DEATHS = Array.from({ length: await countTransactions() }, (_, at) => at);

/** `died` is after so many transactions. `happened`: the one at which it died happened all the same. */
async function broken(died: number, happened: boolean) {
  const fixture = new StoreFixture(WEB, API);
  const before = fixture.held();
  fixture.dies = died;
  fixture.happens = happened;
  await expect(move(fixture)).rejects.toThrow('the agent is dead');
  fixture.dies = Number.POSITIVE_INFINITY;
  return { fixture, before };
}

test('a move makes at least a gate for each store, records, the word that they are there, and the end of the gate', () => {
  expect(DEATHS.length).toBeGreaterThan(5);
});

/** The end of the last one is the end of the move, whoever heard of it. */
const BROKEN = DEATHS.flatMap((died) => [[died, false] as const, [died, true] as const]).slice(0, -1);

test.each(BROKEN)(
  'one that died after transaction %i (which happened: %s) is settled by whoever is there',
  async (died, happened) => {
    for (const who of ['the mover', 'another keeper', 'another member']) {
      const { fixture, before } = await broken(died, happened);
      const isSaid = fixture.held().has(keys.storeMoved);
      if (who !== 'the mover') fixture.away.add('h1');
      const { followed, run } = member(fixture, who === 'the mover' ? 'h1' : 'h2', {
        keeper: who !== 'another member',
      });
      await run(30_000);
      // Who may not write all of the store waits for one who may.
      if (who === 'another member' && !isSaid) {
        expect(fixture.held().has(keys.storeGate)).toBe(died > 0 || happened);
        await member(fixture, 'h1').run(5_000);
      }
      expectWhole(fixture, before);
      expect(followed.length > 0).toBe(isSaid);
      // Done again, over what was left there.
      if (!isSaid) {
        await move(fixture);
        expectWhole(fixture, before);
      }
    }
  },
);

test('the gate that could not be opened when the move failed goes as soon as etcd answers, by the agent that closed it', async () => {
  const { fixture, before } = await broken(2, false);
  expect(fixture.held().has(keys.storeGate)).toBe(true);
  fixture.dies = 0;
  const { run } = member(fixture, 'h1');
  await run(10_000);
  expect(fixture.held().has(keys.storeGate)).toBe(true);
  fixture.dies = Number.POSITIVE_INFINITY;
  await run(3_000);
  expect(fixture.held()).toEqual(before);
});

test('a move that goes on is left alone: by its own agent, and while its agent is heard', async () => {
  const { fixture } = await broken(3, false);
  await member(fixture, 'h1', { busy: true }).run(60_000);
  await member(fixture, 'h2').run(60_000);
  fixture.away.add('h1');
  await member(fixture, 'h2').run(5_000);
  expect(fixture.held().has(keys.storeGate)).toBe(true);
});

test('a move whose gate was taken away under it fails, and writes nothing more', async () => {
  const fixture = new StoreFixture(WEB, API);
  const before = fixture.held();
  const moving = moveStore(fixture.deps(), THEIRS, (text) => {
    if (!text.startsWith('members follow')) return;
    fixture.etcd.txn([], [{ kind: 'delete', key: keys.storeGate }]);
  });
  await expect(moving).rejects.toThrow('another node is restoring or moving');
  expect(fixture.held()).toEqual(before);
});

test('one whose last transaction is known by its outcome alone has succeeded', async () => {
  const fixture = new StoreFixture(WEB, API);
  fixture.dies = DEATHS.length - 1;
  fixture.happens = true;
  expect((await move(fixture)).store).toEqual({ ...THEIRS, bundled: false });
});

test('one whose members opened the other store first has succeeded', async () => {
  const fixture = new StoreFixture(WEB, API);
  const deps = fixture.deps();
  const txn: typeof deps.store.txn = async (compares, writes) => {
    const result = await deps.store.txn(compares, writes);
    if (fixture.held().has(keys.storeMoved)) await member(fixture, 'h2').run(2_000);
    return result;
  };
  const { store } = await moveStore({ ...deps, store: { ...deps.store, txn } }, THEIRS, () => undefined);
  expect(store).toEqual({ ...THEIRS, bundled: false });
  expect(fixture.held(fixture.other(URL)).has(keys.storeGate)).toBe(false);
});
