import { beforeEach, expect, test, vi } from 'vitest';
import type { Identity } from '../../../../src/agent/cluster/identity.ts';
import { type LeaveDeps, leaveCluster } from '../../../../src/agent/cluster/leave.ts';
import { getNode, listNodes, nodeState, removeNode } from '../../../../src/agent/cluster/nodes.ts';
import { encodedEntries } from '../../../../src/agent/endpoints/own-holdings.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { Liveness } from '../../../../src/core/failure-detector.ts';
import { decodeNode, decodeQuarantine, encodeRecord } from '../../../../src/core/record-codec.ts';
import { type EndpointRecord, keys, PREFIX } from '../../../../src/core/records.ts';
import type { StoreAccess } from '../../../../src/ports/store.ts';
import { noUsers } from '../../../fixtures/keeper.ts';
import { toldView } from '../../../fixtures/told-view.ts';
import { ClusterFixture, memoryFile } from './cluster-fixture.ts';

const NETWORK = {
  id: 'f0',
  name: 'web',
  subnets: [{ cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} }],
};
const QUARANTINE = { quarantineSeconds: 60 };

let cluster: ClusterFixture;
let n1: Identity;
let n2: Identity;
let token: string;
const states = new Map<string, Liveness>();
const liveness = (nodeId: string) => states.get(nodeId) ?? 'ready';

beforeEach(async () => {
  states.clear();
  cluster = new ClusterFixture();
  ({ identity: n1, token } = await cluster.found());
  n2 = (await cluster.host('n2', '10.0.0.2').join(token)).identity;
});

async function putEndpoints(owner: Identity, count: number, block = 1) {
  for (let i = 0; i < count; i++) {
    const address = `10.1.${block}.${i + 1}`;
    const record: EndpointRecord = {
      ...{ id: `e${block}-${i}`, networkId: NETWORK.id, nodeId: owner.nodeId, mac: '02:42:0a:01:00:01' },
      addresses: [{ subnet: '10.1.0.0/16', ip: address }],
      ...{ name: `c${i}`, aliases: [], createdAt: 0 },
    };
    await cluster.store.txn(
      [],
      encodedEntries(record).map((entry) => ({ kind: 'put', ...entry })),
    );
  }
}

/** Silent for long, and its lease has run out. */
async function putDown(node: Identity) {
  states.set(node.nodeId, 'down');
  await cluster.clock.advance(180_000);
}

const count = async (prefix: string) => (await cluster.store.list(prefix)).entries.length;
const remove = (ref: string, force = false, access: StoreAccess = n1.store, selfId = n1.nodeId) =>
  removeNode({ ...cluster, users: noUsers, liveness, selfId, access }, { ref, force, by: n1.nodeId }, QUARANTINE);

test('the mark of a node that is removed says that it did not leave, before etcd refuses it everything', async () => {
  let marked: unknown;
  const users = {
    ...noUsers,
    revoke: async () => {
      marked = decodeNode((await cluster.store.get(keys.node(n2.nodeId)))!.value);
    },
  };
  const deps = { ...cluster, users, liveness, selfId: n1.nodeId, access: n1.store };
  await removeNode(deps, { ref: 'n2', force: true, by: n1.nodeId }, QUARANTINE);
  expect(marked).toMatchObject({ left: true, removed: true });
});

test('nodes are listed by name with their state and number of endpoints', async () => {
  await putEndpoints(n2, 3);
  const network = {
    ...{ ...NETWORK, vni: 4096, internal: false, attachable: true, labels: {}, options: {} },
    ...{ createdAt: 0, state: 'active' },
  };
  await cluster.store.txn([], [{ kind: 'put', key: keys.network(NETWORK.id), value: encodeRecord(network) }]);
  const { view, tell } = toldView();
  tell((await cluster.store.list(PREFIX)).entries);
  states.set(n2.nodeId, 'suspect');
  const deps = { view: () => view, liveness, selfId: n1.nodeId, clock: cluster.clock, access: n1.store };
  const rows = listNodes(deps).map(({ record, state, self, endpoints }) => [record.name, state, self, endpoints]);
  expect(rows).toEqual([
    ['n1', 'ready', true, 0],
    ['n2', 'suspect', false, 3],
  ]);
  expect(getNode(deps, n2.nodeId.slice(0, 8)).record.name).toBe('n2');
  expect(() => getNode(deps, 'n9')).toThrow(expect.objectContaining({ code: 'node-not-found' }));
});

test('a node that is up is removed by force only, and this node never', async () => {
  await expect(remove('n2')).rejects.toThrow(/n2 is ready, not down; run `overlayd leave` there/);
  states.set(n2.nodeId, 'suspect');
  await expect(remove('n2')).rejects.toMatchObject({ code: 'node-up' });
  await expect(remove('n1', true)).rejects.toThrow(/goes by `overlayd leave`/);
  await remove('n2', true);
  await expect(remove('n2')).rejects.toMatchObject({ code: 'node-not-found' });
});

test('removal takes all that the node owned, and puts its addresses into hard quarantine', async () => {
  await putEndpoints(n2, 150);
  await putEndpoints(n1, 2, 2);
  await putDown(n2);
  expect(await remove('n2')).toBe(n2.nodeId);
  expect(await count(keys.endpoints)).toBe(2);
  expect(await count(keys.addresses)).toBe(2);
  const quarantined = (await cluster.store.list(`${PREFIX}quarantine/`)).entries;
  expect(quarantined).toHaveLength(150);
  expect(decodeQuarantine(quarantined[0]!.value)).toMatchObject({ by: n1.nodeId, clean: false });
  expect(await count(`${PREFIX}nodes/`)).toBe(1);
  expect(await count(`${PREFIX}live/`)).toBe(0);
  expect(await cluster.store.get(keys.nodeName('n2'))).toBeUndefined();
  await cluster.clock.advance(60_000);
  expect(await count(`${PREFIX}quarantine/`)).toBe(0);
});

test('removal takes a claim without a record and a record without a claim', async () => {
  await putEndpoints(n2, 2);
  const [first] = (await cluster.store.list(keys.endpoints)).entries;
  const [, second] = (await cluster.store.list(keys.addresses)).entries;
  await cluster.store.txn(
    [],
    [first!, second!].map(({ key }) => ({ kind: 'delete', key })),
  );
  await putDown(n2);
  await remove('n2');
  expect([await count(keys.endpoints), await count(keys.addresses)]).toEqual([0, 0]);
});

test('a removal that is cut off anywhere is finished by typing it again', async () => {
  const { txn } = cluster.store;
  for (let step = 0; step < 4; step++) {
    await putEndpoints(n2, 100);
    await putDown(n2);
    let left = step;
    cluster.store.txn = (...args) => {
      if (left-- === 0) throw new Error('power off');
      return txn.apply(cluster.store, args);
    };
    await expect(remove('n2')).rejects.toThrow('power off');
    cluster.store.txn = txn;
    await remove('n2').catch((error) => expect(error.code).toBe('node-not-found'));
    expect(await count(keys.endpoints)).toBe(0);
    expect(await count(keys.addresses)).toBe(0);
    expect(await count(`${PREFIX}nodes/`)).toBe(1);
    await cluster.clock.advance(60_000);
    n2 = (await cluster.host('n2', '10.0.0.2').join(token)).identity;
  }
});

function leaving(identity: Identity, endpoints: readonly string[] = []) {
  const file = memoryFile<LeaveDeps['identity']>();
  file.content = identity;
  const calls: string[] = [];
  const deps = {
    ...{ identity, store: cluster.store, clock: cluster.clock, logger: cluster.logger, file: file as never },
    etcd: { remove: async () => void calls.push('etcd removed') },
    localEndpoints: () => endpoints,
    quiesce: async () => void calls.push('quiesced'),
    clearHost: async () => void calls.push('host cleared'),
  };
  const leave = (force = false, deleteCluster = false) =>
    leaveCluster(deps, { force, deleteCluster }, QUARANTINE, () => undefined);
  return { leave, file, calls, deps };
}

test('a node that leaves stays listed, as down, and its live key goes', async () => {
  await cluster.store.txn([], [{ kind: 'put', key: keys.live(n2.nodeId), value: '{}' }]);
  const { leave, file, calls } = leaving(n2);
  expect(await leave()).toEqual([]);
  expect(decodeNode((await cluster.store.get(keys.node(n2.nodeId)))!.value)!.left).toBe(true);
  expect(await count(`${PREFIX}live/`)).toBe(0);
  expect(file.content).toBeUndefined();
  expect(calls).toEqual(['quiesced', 'host cleared', 'etcd removed']);
  await remove('n2');
});

test('the name and address of a node that left can be taken by the next one', async () => {
  await leaving(n2).leave();
  const again = await cluster.host('n2', '10.0.0.2').join(token);
  expect(again.identity.nodeId).not.toBe(n2.nodeId);
  expect(await cluster.store.get(keys.node(n2.nodeId))).toBeUndefined();
});

test('by force an etcd is asked again that does not answer for a moment', async () => {
  await putEndpoints(n2, 2);
  const { store } = cluster;
  const list = store.list.bind(store);
  let silences = 2;
  store.list = async (prefix) => {
    if (silences-- > 0) throw new OverlaydError('store-unavailable', 'etcd does not answer', { retryable: true });
    return await list(prefix);
  };
  expect(await cluster.clock.until(leaving(n2).leave(true))).toEqual([]);
  expect(silences).toBeLessThan(0);
  expect(await count(keys.endpoints)).toBe(0);
});

test('one that has said that it leaves is out, though etcd hears no more of it, as of one that others remove meanwhile', async () => {
  const failures = [
    new OverlaydError('store-failed', 'permission denied'),
    new OverlaydError('store-unavailable', 'no answer', { retryable: true }),
  ];
  for (const failure of failures) {
    const answer = cluster.store.list.bind(cluster.store);
    const list = vi.spyOn(cluster.store, 'list').mockImplementation(async (prefix) => {
      if (prefix === keys.endpointsOf(n2.nodeId)) throw failure;
      return await answer(prefix);
    });
    const { leave, file, calls } = leaving(n2);
    expect(await cluster.clock.until(leave())).toEqual([expect.stringContaining(`${failure.message}); unless it has`)]);
    expect([file.content, calls]).toEqual([undefined, ['quiesced', 'host cleared', 'etcd removed']]);
    list.mockRestore();
    await remove('n2');
    n2 = (await cluster.host('n2', '10.0.0.2').join(token)).identity;
  }
});

test('local endpoints keep a node from leaving, unless forced: then they go', async () => {
  await putEndpoints(n2, 2);
  const { leave, file, calls } = leaving(n2, ['api', 'db']);
  await expect(leave()).rejects.toThrow(/has endpoints \(api, db\); disconnect them first, or use --force/);
  expect(file.content).toBeDefined();
  expect(calls).toEqual([]);
  await leave(true);
  expect(await count(keys.endpoints)).toBe(0);
  expect(file.content).toBeUndefined();
});

test('a host that has just been admitted is removed by force only, and so is one that etcd hears of', async () => {
  states.set(n2.nodeId, 'down');
  await expect(remove('n2')).rejects.toThrow(/n2 is joining, not down/);
  await putDown(n2);
  await cluster.store.txn([], [{ kind: 'put', key: keys.live(n2.nodeId), value: '{}' }]);
  await expect(remove('n2')).rejects.toThrow(/n2 is ready, not down/);
  await remove('n2', true);
});

test('a host that was admitted by a clock far ahead is down when it is down', async () => {
  const record = decodeNode((await cluster.store.get(keys.node(n2.nodeId)))!.value)!;
  states.set(n2.nodeId, 'down');
  const deps = { liveness, selfId: n1.nodeId, clock: cluster.clock };
  expect(nodeState(deps, record)).toBe('joining');
  expect(nodeState(deps, { ...record, joinedAt: record.joinedAt + 61 * 24 * 3_600_000 })).toBe('down');
});

test("the host of the cluster's etcd is never removed, whether its record says so or not", async () => {
  const key = keys.node(n2.nodeId);
  const record = decodeNode((await cluster.store.get(key))!.value)!;
  const own = { endpoints: ['https://10.0.0.2:2379'], caCertificate: '', certificate: '', key: '' };
  await putDown(n2);
  for (const force of [false, true]) {
    await expect(remove('n2', force, own)).rejects.toMatchObject({
      code: 'store-holder',
      message: expect.stringMatching(/n2 runs the cluster's only etcd/),
    });
  }
  await cluster.store.txn([], [{ kind: 'put', key, value: encodeRecord({ ...record, holdsStore: true }) }]);
  await expect(remove('n2', true)).rejects.toMatchObject({ code: 'store-holder' });
  // An etcd of the user's that happens to be on a member's host is nothing that goes with it.
  await cluster.store.txn([], [{ kind: 'put', key, value: encodeRecord(record) }]);
  await remove('n2', false, { ...own, certificate: 'pem' });
});

test("the host of the cluster's etcd leaves last, and force does not change that", async () => {
  const founder = { ...n1, store: { ...n1.store, bundled: true } };
  const { leave, calls, file } = leaving(founder);
  for (const force of [false, true]) {
    await expect(leave(force)).rejects.toMatchObject({
      code: 'store-holder',
      message: expect.stringMatching(/n2 would be left without; let them leave first.*--yes-delete-cluster/),
    });
  }
  await leaving(n2).leave();
  const network = {
    ...{ ...NETWORK, vni: 4096, internal: false, attachable: true, labels: {}, options: {} },
    ...{ createdAt: 0, state: 'active' },
  };
  const key = keys.network(NETWORK.id);
  await cluster.store.txn([], [{ kind: 'put', key, value: encodeRecord(network) }]);
  await expect(leave(true)).rejects.toThrow(/web would be gone; remove the networks first/);
  expect(file.content).toBeDefined();
  expect(calls).toEqual([]);
  // What cannot be read may be anything that would be lost.
  await cluster.store.txn([], [{ kind: 'put', key, value: '{"name":5}' }]);
  await expect(leave(true)).rejects.toThrow(`${key} would be gone`);
  await cluster.store.txn([], [{ kind: 'delete', key }]);
  await cluster.store.txn([], [{ kind: 'put', key: keys.node('strange'), value: '{"name":5}' }]);
  await expect(leave(true)).rejects.toThrow(`${keys.node('strange')} would be left without`);
  await cluster.store.txn([], [{ kind: 'delete', key: keys.node('strange') }]);
  await leave();
  expect(calls).toEqual(['quiesced', 'host cleared', 'etcd removed']);
});

test("the host of the cluster's etcd ends the cluster only when told so, also when nobody can say what is lost", async () => {
  const founder = { ...n1, store: { ...n1.store, bundled: true } };
  const { leave, calls } = leaving(founder);
  cluster.store.cut('refusing');
  await expect(leave(true)).rejects.toMatchObject({ code: 'store-holder', message: expect.stringMatching(/mend it/) });
  expect(calls).toEqual([]);
  expect(await leave(true, true)).toEqual([]);
  expect(calls).toEqual(['quiesced', 'host cleared', 'etcd removed']);
});

test('a leave that fails at any step is finished by typing it again', async () => {
  for (const broken of ['quiesce', 'clearHost'] as const) {
    const { leave, file, deps } = leaving(n2);
    const step = deps[broken];
    deps[broken] = async () => {
      throw new Error('power off');
    };
    await expect(leave()).rejects.toThrow('power off');
    expect(file.content).toBeDefined();
    deps[broken] = step;
    expect(await leave()).toEqual([]);
    expect(file.content).toBeUndefined();
  }
});

test('one of several that keep the store, without a majority for good, can leave: by force, and told so in so many words', async () => {
  const { leave, calls, deps } = leaving({ ...n1, store: { ...n1.store, bundled: true } });
  const handOverStore = async () => {
    throw new OverlaydError('store-unavailable', 'no majority', { retryable: true });
  };
  Object.assign(deps, { handOverStore, otherKeepers: () => ['n2', 'n3'] });
  cluster.store.cut('refusing');
  await expect(leave(true)).rejects.toMatchObject({ code: 'store-unavailable' });
  await expect(leave(false, true)).rejects.toThrow(/n2 and n3 keep the store as well.*gone for good, add --force/);
  expect(calls).toEqual([]);
  expect(await leave(true, true)).toEqual([expect.stringMatching(/was not told/)]);
  expect(calls).toEqual(['quiesced', 'host cleared', 'etcd removed']);
});

test("a host does not take the CA's key with it, unless forced: then it says so", async () => {
  const { leave, file, calls, deps } = leaving(n2);
  let asked = 0;
  const keyElsewhere = async (failures: number) => {
    if (asked++ < failures) throw new OverlaydError('keeper-unreachable', 'no keeper can do this', { retryable: true });
  };
  Object.assign(deps, { keyElsewhere: () => keyElsewhere(Number.POSITIVE_INFINITY) });
  await expect(cluster.clock.until(leave())).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/has the key of the cluster's CA.*\(no keeper can do this\)/),
  });
  expect([calls, file.content !== undefined]).toEqual([[], true]);
  expect(await leave(true)).toEqual([expect.stringMatching(/if none has, no host can join/)]);
  // One that has just become a keeper fetches it.
  file.content = n2;
  asked = 0;
  Object.assign(deps, { keyElsewhere: () => keyElsewhere(3) });
  expect(await cluster.clock.until(leave())).toEqual([]);
  expect(asked).toBe(4);
});

test('without etcd a node leaves by force only, and says what is left to do', async () => {
  cluster.store.cut('refusing');
  const { leave, file, calls } = leaving(n2);
  await expect(leave()).rejects.toMatchObject({ code: 'store-unavailable' });
  expect(calls).toEqual([]);
  expect(await cluster.clock.until(leave(true))).toEqual([
    expect.stringMatching(/was not told .*`overlayd node rm --force n2` on a member/),
  ]);
  expect(file.content).toBeUndefined();
});

test('a keeper does not remove itself for another node, which is told to ask another keeper', async () => {
  await putDown(n2);
  await expect(remove('n2', true, n1.store, n2.nodeId)).rejects.toMatchObject({ code: 'keeper-unreachable' });
});
