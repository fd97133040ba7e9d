/** Whatever a host changes, its peers hear of at once, and whole. */
import { afterEach, expect, it } from 'vitest';
import { evictNode } from '../../src/agent/cluster/eviction.ts';
import { createJoinToken, revokeToken } from '../../src/agent/cluster/tokens.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { pki, random } from '../unit/agent/cluster/cluster-fixture.ts';
import { forget } from './forget.ts';
import { SimulatedCluster, type SimulatedHost, silent } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
const forever = new AbortController().signal;

afterEach(() => cluster.stop());

async function make(count: number): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 5, engines: true });
  await cluster.start(count);
  await cluster.clock.until(cluster.hosts[0]!.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(2_000);
  return cluster.hosts;
}

/** What was written during the task, as kinds of keys; and what of it was not pushed. */
async function during(task: () => Promise<unknown>) {
  const before = cluster.etcd.revision;
  await task();
  const written = Array.from({ length: cluster.etcd.revision - before }, (_, i) => before + 1 + i);
  const kindsAt = (revision: number) =>
    cluster.etcd
      .changedAt(revision)!
      .map(({ key, value }) => `${value === undefined ? '-' : ''}${key.slice(PREFIX.length).split('/')[0]}`);
  // What a lease takes away nobody writes.
  const kinds = written.map((revision) => [...new Set(kindsAt(revision))].sort().join(' '));
  const unpushed = written.flatMap((revision, i) => (cluster.pushes.revisions.has(revision) ? [] : [kinds[i]!]));
  return { kinds: new Set(kinds), unpushed: new Set(unpushed) };
}

it('every change of endpoints is pushed', async () => {
  const [h1] = await make(3);
  const endpoints = () => h1!.running.endpoints;
  const connect = (options: { mac?: string } = {}) =>
    cluster.clock.until(
      endpoints().connect({ network: 'web', container: h1!.addContainer(), aliases: [], ...options }),
    );
  const { kinds, unpushed } = await during(async () => {
    const plain = await connect();
    const chosen = await connect({ mac: '02:00:00:00:00:07' });
    for (const { endpoint } of [plain, chosen])
      await cluster.clock.until(endpoints().disconnect('web', endpoint.record.id, false));
  });
  expect([...kinds].sort()).toEqual([
    '-addresses -endpoints -macs quarantine',
    '-addresses -endpoints quarantine',
    'addresses endpoints',
    'addresses endpoints macs',
  ]);
  expect([...unpushed]).toEqual([]);
});

it('what the audit puts right or claims again is pushed', async () => {
  const [h1] = await make(3);
  const connect = () =>
    cluster.clock.until(h1!.running.endpoints.connect({ network: 'web', container: h1!.addContainer(), aliases: [] }));
  const [changed, lost] = [(await connect()).endpoint.record, (await connect()).endpoint.record];
  const wrong = encodeRecord({ ...changed, name: 'forged' });
  cluster.etcd.txn([], [{ kind: 'put', key: keys.endpoint(changed), value: wrong }]);
  forget(cluster.etcd, lost);
  const { kinds, unpushed } = await during(() => cluster.clock.advance(5_000));
  expect([...kinds].sort()).toEqual(['addresses endpoints', 'endpoints']);
  expect([...unpushed]).toEqual([]);
});

it('what an engine changes is pushed', async () => {
  const [h1] = await make(2);
  await cluster.clock.advance(5_000);
  const { kinds, unpushed } = await during(async () => {
    await cluster.clock.until(h1!.engine.run('app', { networks: { web: {} } }));
    await cluster.clock.advance(5_000);
  });
  expect([...kinds]).toEqual(['addresses endpoints', 'endpoints']);
  expect([...unpushed]).toEqual([]);
});

it('networks are pushed, and their removal with all that nobody here had heard of', async () => {
  const [h1, h2] = await make(3);
  const { kinds, unpushed } = await during(async () => {
    await cluster.clock.until(h2!.running.networks.create(networkRequest('db')));
    const { endpoint } = await cluster.clock.until(
      h1!.running.endpoints.connect({ network: 'db', container: h1!.addContainer(), aliases: [] }),
    );
    await cluster.clock.until(h1!.running.endpoints.disconnect('db', endpoint.record.id, false));
    await cluster.clock.until(h2!.running.networks.remove('db', forever));
  });
  expect(kinds).toContain('network-names networks subnets vnis');
  expect(kinds).toContain('-network-acks -networks -quarantine -subnets -vnis');
  // Each counts for whoever frees the network, which asks etcd.
  expect([...unpushed]).toEqual(['network-acks']);
});

it('hosts and tokens are pushed', async () => {
  const [h1, h2] = await make(3);
  const { commit } = h1!.running;
  const deps = {
    store: h1!.store,
    commit,
    clock: cluster.clock,
    random,
    logger: silent,
    pki: { ...pki, digest: () => 'ca' },
  };
  const creator = { nodeId: 'node1', caCertificate: 'ca', advertiseAddress: '192.0.2.1', joinPort: 2377 };
  const { kinds, unpushed } = await during(async () => {
    h1!.facts.mtuBytes = 1_400;
    h1!.kernel.tell({ kind: 'underlay' });
    await cluster.clock.advance(3_000);
    const { id } = await cluster.clock.until(createJoinToken(deps, creator, { ttlMs: 0, uses: 1 }));
    await cluster.clock.until(revokeToken(deps, id));
    await h2!.crash();
    await cluster.clock.until(evictNode(deps, 'node2', { by: 'node1', quarantineSeconds: 60 }));
  });
  expect([...kinds].sort()).toEqual(['-live -wireguard nodes', '-node-names -nodes', 'nodes', 'tokens']);
  expect([...unpushed]).toEqual([]);
});
