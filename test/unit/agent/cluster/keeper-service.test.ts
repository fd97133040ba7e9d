import { expect, test } from 'vitest';
import { revokeIssued, settleRevoked } from '../../../../src/agent/cluster/issued.ts';
import { createKeeperService } from '../../../../src/agent/cluster/keeper-service.ts';
import { KEEPER_NAMES_LEVEL } from '../../../../src/core/levels.ts';
import { decodeCluster, decodeNode, encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, type NodeRecord, type StoreChange } from '../../../../src/core/records.ts';
import { ADMISSION, ClusterFixture, pki } from './cluster-fixture.ts';

/** `n1`, which keeps the store, and `n2`. */
async function fixture() {
  const cluster = new ClusterFixture();
  const { token, identity: first } = await cluster.found();
  const { identity: second } = await cluster.host('n2', '10.0.0.2').join(token);
  const service = createKeeperService({ ...cluster.admitDeps(), rotateCa: async () => undefined }, ADMISSION);
  const change = async (nodeId: string, parts: Partial<NodeRecord>) => {
    const entry = await cluster.store.get(keys.node(nodeId));
    cluster.etcd.txn(
      [],
      [{ kind: 'put', key: keys.node(nodeId), value: encodeRecord({ ...decodeNode(entry!.value)!, ...parts }) }],
    );
  };
  await change(first.nodeId, { holdsStore: true });
  const value = encodeRecord({ nodeIds: [first.nodeId] });
  cluster.etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value }]);
  return { cluster, service, first, second, change, token };
}

test('a member gets a certificate for its own key, with the address that it has now', async () => {
  const { service, first, second } = await fixture();
  const csr = await pki.createCsr(second.key);
  const { certificate, caCertificate } = await service.renew(
    { csr, address: '10.0.0.22', keeper: false },
    second.nodeId,
  );
  expect(caCertificate).toBe(first.caCertificate);
  expect(pki.readCertificate(certificate)).toMatchObject({
    nodeId: second.nodeId,
    fingerprint: pki.fingerprint(second.key),
  });
});

test.each([
  [
    'for another key',
    async ({ second }: { second: { nodeId: string } }) => {
      return { csr: await pki.createCsr(await pki.createKey()), address: '10.0.0.2', caller: second.nodeId };
    },
    'peer-refused',
  ],
  [
    "with another member's address",
    async ({ second }: { second: { nodeId: string; key: string } }) => {
      return { csr: await pki.createCsr(second.key), address: '10.0.0.1', caller: second.nodeId };
    },
    'conflict',
  ],
  [
    'for a node that is none',
    async ({ second }: { second: { key: string } }) => {
      return { csr: await pki.createCsr(second.key), address: '10.0.0.2', caller: 'f'.repeat(32) };
    },
    'peer-refused',
  ],
] as const)('none is given out %s', async (_, make, code) => {
  const { service, ...rest } = await fixture();
  const { caller, ...asked } = await make(rest);
  await expect(service.renew({ ...asked, keeper: false }, caller)).rejects.toMatchObject({ code });
});

test('one that has left gets none', async () => {
  const { service, second, change } = await fixture();
  await change(second.nodeId, { left: true });
  const csr = await pki.createCsr(second.key);
  await expect(service.renew({ csr, address: '10.0.0.2', keeper: false }, second.nodeId)).rejects.toMatchObject({
    code: 'peer-refused',
  });
});

test('one that is removed while its certificate is made gets none, and etcd is to refuse it', async () => {
  const { cluster, second, change } = await fixture();
  const record = decodeCluster((await cluster.store.get(keys.cluster))!.value)!;
  const value = encodeRecord({ ...record, level: KEEPER_NAMES_LEVEL });
  cluster.etcd.txn([], [{ kind: 'put', key: keys.cluster, value }]);
  const { store, commit } = cluster;
  let made = '';
  const issue: typeof pki.issue = async (...asked) => {
    made = await pki.issue(...asked);
    await change(second.nodeId, { left: true });
    await revokeIssued({ store, commit }, second.nodeId, cluster.clock.now());
    return made;
  };
  const deps = { ...cluster.admitDeps(), pki: { ...pki, issue }, rotateCa: async () => undefined };
  const service = createKeeperService(deps, ADMISSION);
  const csr = await pki.createCsr(second.key);
  await expect(service.renew({ csr, address: '10.0.0.2', keeper: false }, second.nodeId)).rejects.toMatchObject({
    code: 'peer-refused',
  });
  const revoked = await settleRevoked({ store, commit }, new Set([second.nodeId]), cluster.clock.now(), async () => []);
  expect(revoked).toContain(pki.readCertificate(made).serial);
});

test("the CA's key is for keepers, and for the host that is about to keep the store", async () => {
  const { cluster, service, first, second } = await fixture();
  const given = { keys: [{ certificate: first.caCertificate, key: first.caKey }] };
  await expect(service.caKeys({ wanted: [first.caCertificate] }, second.nodeId)).rejects.toMatchObject({
    code: 'peer-refused',
  });
  expect(await service.caKeys({ wanted: [first.caCertificate] }, first.nodeId)).toEqual(given);
  const planned: StoreChange = { kind: 'add', nodeId: second.nodeId, why: 'w', by: first.nodeId, startedAt: 1 };
  cluster.etcd.txn([], [{ kind: 'put', key: keys.storeChange, value: encodeRecord(planned) }]);
  expect(await service.caKeys({ wanted: [first.caCertificate] }, second.nodeId)).toEqual(given);
});

test('a keeper that has not got the key says so, and another one may be asked', async () => {
  const { cluster, service, first, second } = await fixture();
  const { caKey: _, ...keyless } = cluster.member!;
  cluster.member = keyless;
  const refused = { code: 'keeper-unreachable', retryable: true };
  await expect(service.caKeys({ wanted: [first.caCertificate] }, second.nodeId)).rejects.toMatchObject(refused);
  await expect(service.renew({ csr: '', address: '', keeper: false }, second.nodeId)).rejects.toMatchObject(refused);
});

test('what a node says of itself makes it no keeper', async () => {
  const { service, first, second, change } = await fixture();
  await change(second.nodeId, { holdsStore: true, joinedAt: 0 });
  await expect(service.caKeys({ wanted: [first.caCertificate] }, second.nodeId)).rejects.toMatchObject({
    code: 'peer-refused',
  });
});

test('with an etcd of the user those have the key that were admitted first, whatever they say', async () => {
  const { cluster, service, first, second, change, token } = await fixture();
  const { identity: third } = await cluster.host('n3', '10.0.0.3').join(token);
  cluster.etcd.txn([], [{ kind: 'delete', key: keys.storeKeepers }]);
  await change(first.nodeId, { holdsStore: undefined as never });
  const record = decodeCluster((await cluster.store.get(keys.cluster))!.value)!;
  // Of which two at least have it.
  const value = encodeRecord({ ...record, storeMembers: 1 });
  cluster.etcd.txn([], [{ kind: 'put', key: keys.cluster, value }]);
  await change(third.nodeId, { joinedAt: 0 });
  const wanted = { wanted: [first.caCertificate] };
  expect((await service.caKeys(wanted, second.nodeId)).keys).toHaveLength(1);
  await expect(service.caKeys(wanted, third.nodeId)).rejects.toMatchObject({ code: 'peer-refused' });
});

test('with an etcd of the user that the store was moved to, those have the key that members take for keepers', async () => {
  const { cluster, service, first, second, change, token } = await fixture();
  const { identity: third } = await cluster.host('n3', '10.0.0.3').join(token);
  cluster.etcd.txn([], [{ kind: 'delete', key: keys.storeKeepers }]);
  await change(first.nodeId, { holdsStore: undefined as never });
  const record = decodeCluster((await cluster.store.get(keys.cluster))!.value)!;
  const ids = [first, second, third].map(({ nodeId }) => nodeId).sort();
  // By ids it would be the other way round.
  for (const [at, id] of ids.entries()) await change(id, { joinedAt: ids.length - at });
  const names = ['n1', 'n2', 'n3'].map((name) => keys.nodeName(name));
  const claims = await Promise.all(names.map((key) => cluster.store.get(key)));
  cluster.etcd.txn(
    [],
    [
      { kind: 'put', key: keys.cluster, value: encodeRecord({ ...record, storeMembers: 1 }) },
      ...claims.map((claim) => ({ kind: 'put', key: claim!.key, value: claim!.value }) as const),
    ],
  );
  const asked = async (id: string) => await service.caKeys({ wanted: [first.caCertificate] }, id);
  await expect(asked(ids[0]!)).rejects.toMatchObject({ code: 'peer-refused' });
  for (const id of ids.slice(1)) expect((await asked(id)).keys).toHaveLength(1);
});

test('a node that is none does not have the CA replaced', async () => {
  const { service } = await fixture();
  await expect(service.rotateCa({}, 'f'.repeat(32))).rejects.toMatchObject({ code: 'peer-refused' });
});
