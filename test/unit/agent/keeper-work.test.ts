import { expect, test } from 'vitest';
import { createKeeperWork } from '../../../src/agent/keeper-work.ts';
import { STORE_LEVEL } from '../../../src/core/levels.ts';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { keys } from '../../../src/core/records.ts';
import { nodeRecord } from '../../fixtures/records.ts';
import { MemoryEtcd } from '../../sim/memory-store.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';

test('who was removed, or has left, gets nothing done by a keeper, whatever the keeper knows yet', async () => {
  const clock = new VirtualClock();
  const etcd = new MemoryEtcd({ clock });
  const left = nodeRecord({ id: 'n2', left: true });
  etcd.txn([], [{ kind: 'put', key: keys.node('n2'), value: encodeRecord(left) }]);
  const member = () => ({ self: { id: 'n1' } });
  const work = createKeeperWork({ clock, member, store: etcd.store('n1') } as never, { quarantineSeconds: 60 });
  const all: readonly ((caller: string) => Promise<object>)[] = [
    (caller) => work.evict({ ref: 'n4', force: true }, caller),
    (caller) => work.updateNode({ ref: 'n4', labels: {}, labelsRemoved: [], name: 'n5' }, caller),
    (caller) => work.createToken({ ttlMs: 0, uses: 0, node: '' }, caller),
    (caller) => work.revokeToken({ ref: 't' }, caller),
    (caller) => work.repairAddresses({ network: '' }, caller),
    (caller) => work.wishStore({ wish: 'resize', nodeId: '', members: 1 }, caller),
    (caller) => work.reportStore({}, caller),
    (caller) => work.putBackStore({ backup: new Uint8Array() }, caller),
    (caller) => work.moveStoreAway({ etcdEndpoints: [], etcdCa: '', etcdCert: '', etcdKey: '' }, caller),
  ];
  for (const caller of ['n2', 'n3']) {
    for (const ask of all) await expect(clock.until(ask(caller))).rejects.toMatchObject({ code: 'peer-refused' });
  }
});

test('who does not keep the store cannot make itself a keeper, nor put records back or carry them off', async () => {
  const clock = new VirtualClock();
  const etcd = new MemoryEtcd({ clock });
  const nodes = ['n1', 'n2', 'n3'].map((id) => nodeRecord({ id, name: id }));
  for (const node of nodes) etcd.txn([], [{ kind: 'put', key: keys.node(node.id), value: encodeRecord(node) }]);
  const said = { nodeIds: ['n1'], learners: ['n3'] };
  etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value: encodeRecord(said) }]);
  const heard = { keepers: ['n1'] };
  const view = {
    ...{ nodes: () => nodes, node: (id: string) => nodes.find((each) => each.id === id) },
    ...{ keepers: () => heard.keepers, keepersRecord: () => ({ nodeIds: heard.keepers, learners: ['n3'] }) },
    ...{ cluster: () => ({ level: STORE_LEVEL }), level: STORE_LEVEL },
  };
  const done: string[] = [];
  const note = (what: string) => async () => done.push(what);
  const deps = {
    ...{ clock, member: () => ({ self: { id: 'n1' }, view }), store: etcd.store('n1') },
    ...{ logger: { warn: () => undefined }, storeSide: () => ({ record: note('wish') }) },
    storeWork: { putBackFor: note('put back'), moveAwayFor: note('move') },
  };
  const work = createKeeperWork(deps as never, { quarantineSeconds: 60 });
  const all: readonly ((caller: string) => Promise<unknown>)[] = [
    (caller) => work.wishStore({ wish: 'promote', nodeId: caller, members: 0 }, caller),
    (caller) => work.putBackStore({ backup: new Uint8Array() }, caller),
    (caller) => work.moveStoreAway({ etcdEndpoints: [], etcdCa: '', etcdCert: '', etcdKey: '' }, caller),
  ];
  for (const ask of all) {
    await expect(clock.until(ask('n2'))).rejects.toThrow(/n2 does not keep the store.*run the command on n1/);
    await clock.until(ask('n3'));
  }
  expect(done).toEqual(['wish', 'put back', 'move']);
  // Without etcd's watch an agent takes for keepers whom members name.
  heard.keepers = ['n1', 'n2'];
  for (const ask of all) await expect(clock.until(ask('n2'))).rejects.toMatchObject({ code: 'permission-denied' });
  expect(done).toHaveLength(3);
});

test.each([
  ['n2, which does not keep the store, names the keeper that it asked', 'n2', 5, '10.0.0.1'],
  ['n2 names itself where every member lets hosts in', 'n2', 4, '10.0.0.2'],
  ['n3, which keeps it, names itself', 'n3', 5, '10.0.0.3'],
])('a token that is made on %s', async (_, caller, level, door) => {
  const clock = new VirtualClock();
  const etcd = new MemoryEtcd({ clock });
  const nodes = [1, 2, 3].map((nth) =>
    nodeRecord({ id: `n${nth}`, name: `n${nth}`, advertiseAddress: `10.0.0.${nth}` }),
  );
  for (const node of nodes) etcd.txn([], [{ kind: 'put', key: keys.node(node.id), value: encodeRecord(node) }]);
  const view = {
    ...{ nodes: () => nodes, node: (id: string) => nodes.find((each) => each.id === id) },
    ...{ keepers: () => ['n1', 'n3'], cluster: () => ({ level }), level },
  };
  const deps = {
    ...{ clock, member: () => ({ self: nodes[0], view, commit: async () => ({}) }), store: etcd.store('n1') },
    ...{ caCertificate: () => '', pki: { digest: () => 'd', sha256: () => 's' }, random: { hex: () => 'aa' } },
    logger: { info: () => undefined },
  };
  const work = createKeeperWork(deps as never, { quarantineSeconds: 60 });
  const made = await clock.until(work.createToken({ ttlMs: 0, uses: 0, node: '' }, caller));
  expect(made.joinCommand).toMatch(new RegExp(` ${door}:\\d+$`));
});
