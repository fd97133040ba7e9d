/** Steps over the store as a whole, typed on a host that is a keeper, and on one that is none. */
import { expect, test } from 'vitest';
import { packing } from '../../../src/adapters/packing.ts';
import { StoreWork } from '../../../src/agent/store-work.ts';
import { decodeCluster } from '../../../src/core/record-codec.ts';
import { keys } from '../../../src/core/records.ts';
import { API, recordsOf, StoreFixture, WEB } from './store/store-fixture.ts';

const URL = 'https://192.0.2.7:2379';
const THEIRS = { etcdEndpoints: [URL], etcdCa: 'ca', etcdCert: 'c', etcdKey: 'k' };
const quiet = () => undefined;

/** Two hosts of one cluster: h1 is its keeper; the other asks it. */
function hosts(fixture: StoreFixture) {
  const asked: string[] = [];
  const began: string[] = [];
  const workOf = (isKeeper: boolean, there?: StoreWork) => {
    const { clock: _, identity, self, table, store, keepers: __, isAway: ___, ...deps } = fixture.deps();
    const membership = {
      ...{ identity: { ...identity, nodeId: isKeeper ? 'h1' : 'h2' }, store },
      member: {
        ...{ self, table, liveness: () => 'ready' },
        view: { nodes: () => [self], keepers: () => ['h1'], cluster: () => undefined },
      },
      keepers: {
        askOthers: async (method: string, request: { backup: Uint8Array } & typeof THEIRS) => {
          asked.push(method);
          if (method === 'putBackStore') return there!.putBackFor(request.backup);
          return fixture.clock.until(there!.moveAwayFor(request), 5_000);
        },
      },
    };
    return new StoreWork({
      ...{ ...deps, clock: fixture.clock, packing },
      lifecycle: {
        require: () => membership,
        changeStore: async (what: string, steps: (of: typeof membership) => Promise<object>) => {
          const done = await steps(membership);
          began.push(what);
          return done;
        },
      } as never,
    });
  };
  const keeper = workOf(true);
  return { keeper, plain: workOf(false, keeper), asked, began };
}

const epochOf = (held: ReadonlyMap<string, string>) => decodeCluster(held.get(keys.cluster)!)!.epoch;

test('a backup is put back by a keeper, whichever host has the file', async () => {
  const fixture = new StoreFixture(WEB, API);
  const { asked, plain } = hosts(fixture);
  const { text } = await plain.backUp(false);
  const before = fixture.held();
  for (const [key] of recordsOf(WEB)) fixture.etcd.txn([], [{ kind: 'delete', key }]);
  await plain.restore({ backup: text, newStore: false }, quiet);
  for (const [key, value] of recordsOf(WEB)) expect(fixture.held().get(key)).toBe(value);
  expect(epochOf(fixture.held())).not.toBe(epochOf(before));
  expect(asked).toEqual(['putBackStore']);
});

test('what a host that is no keeper knows is put back by one', async () => {
  const fixture = new StoreFixture(WEB);
  const { asked, plain } = hosts(fixture);
  fixture.known = fixture.held();
  for (const [key] of recordsOf(WEB)) fixture.etcd.txn([], [{ kind: 'delete', key }]);
  await plain.restore({ newStore: false }, quiet);
  for (const [key, value] of recordsOf(WEB)) expect(fixture.held().get(key)).toBe(value);
  expect(asked).toEqual(['putBackStore']);
});

test('the store is moved by a keeper, which starts anew when it has answered', async () => {
  const fixture = new StoreFixture(WEB, API);
  const { asked, began, plain } = hosts(fixture);
  await plain.move(THEIRS, quiet);
  expect(asked).toEqual(['moveStoreAway']);
  expect(began).toEqual([]);
  await fixture.clock.advance(1_000);
  expect(began).toEqual(['moving the store']);
  expect(fixture.held(fixture.other(URL)).has(keys.storeGate)).toBe(false);
  expect(fixture.held().has(keys.storeMoved)).toBe(true);
});

test('a keeper asks nobody, and an etcd of a host begins there alone', async () => {
  const fixture = new StoreFixture(WEB);
  const { asked, keeper, plain } = hosts(fixture);
  const bundled = { etcdEndpoints: [], etcdCa: '', etcdCert: '', etcdKey: '' };
  await expect(plain.move(bundled, quiet)).rejects.toMatchObject({ code: 'permission-denied' });
  await keeper.move(THEIRS, quiet);
  expect(asked).toEqual([]);
});

test('what a keeper refuses the host that asked is told', async () => {
  const { plain } = hosts(new StoreFixture(WEB));
  await expect(plain.restore({ backup: 'nonsense', newStore: false }, quiet)).rejects.toMatchObject({
    code: 'backup-unusable',
  });
  await expect(plain.move({ ...THEIRS, etcdEndpoints: ['192.0.2.7'] }, quiet)).rejects.toMatchObject({
    code: 'invalid-argument',
  });
});

test('what was packed comes out as it was, and no more than may', async () => {
  const text = `${'x'.repeat(10_000)}\u00e9`;
  const packed = await packing.pack(text);
  expect(packed.length).toBeLessThan(1_000);
  expect(await packing.unpack(packed, 20_000)).toBe(text);
  await expect(packing.unpack(packed, 5_000)).rejects.toMatchObject({ code: 'invalid-argument' });
  await expect(packing.unpack(Buffer.from('no'), 5_000)).rejects.toMatchObject({ code: 'invalid-argument' });
});
