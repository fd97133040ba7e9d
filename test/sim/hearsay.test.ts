/** A member that says what is not so: etcd's word counts, and the member is named. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodedEntries } from '../../src/agent/endpoints/own-holdings.ts';
import type { GossipMessage, GossipRecord } from '../../src/core/gossip/message.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { type EndpointRecord, firstAddress, keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const GHOST = {
  ...{ id: 'f'.repeat(64), nodeId: 'node2', mac: '02:42:0a:00:00:c8', name: 'ghost' },
  addresses: [{ subnet: '10.0.0.0/24', ip: '10.0.0.200' }],
};

let cluster: SimulatedCluster;
let one: SimulatedHost;
let liar: SimulatedHost;
let three: SimulatedHost;
let endpoint: EndpointRecord;

const connect = async (host: SimulatedHost, name: string) => {
  const request = { network: 'web', container: host.addContainer(), name, aliases: [] };
  return (await cluster.clock.until(host.running.endpoints.connect(request))).endpoint.record;
};

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(3);
  [one, liar, three] = cluster.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await connect(one, 'a');
  endpoint = await connect(three, 'api');
  await cluster.clock.advance(5_000);
});

afterEach(() => cluster.stop());

/** The second host says this to the first one. */
const say = (part: Partial<GossipMessage>) =>
  cluster.clock.until(
    cluster.network
      .transport('node2', 'a second socket of node2')
      .request({ nodeId: 'node1', address: '192.0.2.1:7946' }, { from: 'node2', members: [], ...part }, 1_000),
  );
const push = (...records: GossipRecord[]) => say({ delta: { from: 0, to: 0, records } });
/** An endpoint of the second host at the address of that one, with its id. */
const moved = (record: EndpointRecord, revision: number): GossipRecord[] =>
  encodedEntries({ ...record, nodeId: 'node2' }).map((entry) => ({ ...entry, revision }));
const gone = (record: EndpointRecord, revision: number): GossipRecord[] =>
  encodedEntries(record).map(({ key }) => ({ key, revision }));
const seen = () => one.running.view.addresses(endpoint.networkId).get(firstAddress(endpoint));

it.each([1, 400, 1_000_000])('an endpoint of another host does not move, by a revision %i too far', async (further) => {
  const { writes } = one.kernel;
  await push(...moved(endpoint, cluster.etcd.revision + further));
  expect(seen()?.nodeId).toBe('node3');
  await cluster.clock.advance(10_000);
  expect(seen()?.nodeId).toBe('node3');
  expect(one.kernel.writes).toBe(writes);
  expect(one.running.findings.map(({ text }) => text).join()).toMatch(
    /node h2 told of records that etcd does not hold \((once|\d+ times), last .*(endpoints|addresses)/,
  );
  expect(three.running.findings.map(({ text }) => text)).toEqual([]);
  await checkQuiet(cluster);
});

it('an endpoint of another host is not deleted, nor its network changed', async () => {
  const network = one.running.view.network(endpoint.networkId)!;
  const revision = cluster.etcd.revision + 1;
  await push(...gone(endpoint, revision));
  await push({ key: keys.network(network.id), revision, value: encodeRecord({ ...network, state: 'deleting' }) });
  await push({ key: keys.network(network.id), revision });
  await push({ key: keys.node('node3'), revision });
  expect(seen()?.nodeId).toBe('node3');
  expect(one.running.networks.list()).toEqual([network]);
  expect(one.running.view.node('node3')).toBeDefined();
  await checkQuiet(cluster);
});

it('an endpoint that is made up is gone when etcd does not confirm it', async () => {
  const record = { ...endpoint, ...GHOST };
  await push(...moved(record, cluster.etcd.revision + 50));
  expect(one.running.view.addresses(record.networkId).get('10.0.0.200')).toBeDefined();
  await cluster.clock.advance(7_000);
  expect(one.running.view.addresses(record.networkId).get('10.0.0.200')).toBeUndefined();
  expect(one.running.findings.map(({ text }) => text).join()).toContain(
    'node h2 told of records that etcd does not hold',
  );
  await checkQuiet(cluster);
});

it('an endpoint that is made up and told again and again stands once', async () => {
  const record = { ...endpoint, ...GHOST };
  const revision = cluster.etcd.revision + 50;
  await push(...moved(record, revision));
  await cluster.clock.advance(7_000);
  for (let i = 0; i < 20; i++) {
    await push(...moved(record, revision));
    expect(one.running.view.addresses(record.networkId).get('10.0.0.200')).toBeUndefined();
    await cluster.clock.advance(1_000);
  }
  await checkQuiet(cluster);
});

it('members are made and changed by etcd alone', async () => {
  const stranger = { ...three.record, id: 'node9', vtep: '203.0.113.9' };
  await push({ key: keys.node('node9'), value: encodeRecord(stranger), revision: cluster.etcd.revision + 1 });
  expect(one.running.view.node('node9')).toBeUndefined();
});

it.each([
  ['a digest', { digest: { completeTo: 9e15, ahead: [] } }],
  ['single revisions', { digest: { completeTo: 1, ahead: [9e15] } }],
  ['a stretch of history', { digest: { completeTo: 10, ahead: [] }, delta: { from: 0, to: 9e15, records: [] } }],
  ['a stretch of a push', { delta: { from: 0, to: 9e15, records: [] } }],
  ['a stretch that ends before it begins', { delta: { from: 20, to: 2, records: [] } }],
  ['a record', { delta: { from: 0, to: 0, records: [{ key: '/overlayd/v2/nodes/node3', revision: 9e15 }] } }],
  ['half a revision', { delta: { from: 0, to: 0, records: [{ key: '/overlayd/v2/nodes/node3', revision: -5 }] } }],
  ['a key of nothing', { delta: { from: 0, to: 0, records: [{ key: '/overlayd/v2/endpoints//', revision: 20 }] } }],
  ['a key of others', { delta: { from: 0, to: 0, records: [{ key: '/registry/pods', revision: 20 }] } }],
])('nonsense in %s is named and changes nothing', async (_, part) => {
  await say(part);
  expect(one.running.findings.map(({ text }) => text).join()).toMatch(/^node h2 said what cannot be \(once/);
  const made = await connect(three, 'later');
  expect(one.running.view.endpoint(made)).toBeDefined();
  await cluster.clock.advance(5_000);
  one.store.cut('refusing');
  await cluster.clock.advance(5_000);
  const unseen = await connect(three, 'latest');
  await cluster.clock.advance(3_000);
  expect(one.running.view.endpoint(unseen)).toBeDefined();
  cluster.heal();
  await cluster.clock.advance(5_000);
  await checkQuiet(cluster);
  await cluster.clock.advance(60_000);
  expect(one.running.findings.map(({ text }) => text)).toEqual([]);
});

it('where etcd is away any member is believed, until etcd is back', async () => {
  one.store.cut('refusing');
  await cluster.clock.advance(5_000);
  await push(...moved(endpoint, cluster.etcd.revision + 400));
  // Its record is there still: nobody has its address.
  expect(seen()?.nodeId).toBe('node3');
  await push({ key: keys.endpoint(endpoint), revision: cluster.etcd.revision + 401 });
  await say({
    digest: { completeTo: cluster.etcd.revision + 100_000, ahead: [] },
    delta: { from: 0, to: cluster.etcd.revision + 100_000, records: [] },
  });
  expect(seen()?.nodeId).toBe('node2');
  one.store.heal();
  await cluster.clock.advance(7_000);
  expect(seen()?.nodeId).toBe('node3');
  const made = await connect(three, 'later');
  expect(one.running.view.endpoint(made)).toBeDefined();
  await checkQuiet(cluster);
});

it.each(['with', 'without'])("what is this host's own is not touched, %s etcd", async (which) => {
  if (which === 'without') one.store.cut('refusing');
  await cluster.clock.advance(5_000);
  const own = one.running.local.all()[0]!.record;
  const { writes } = one.kernel;
  const revision = cluster.etcd.revision + 5;
  await push(
    ...moved(own, revision),
    { key: keys.network(own.networkId), revision },
    { key: keys.node('node1'), revision },
  );
  await cluster.clock.advance(2_000);
  expect(one.running.view.endpoint(own)?.nodeId).toBe('node1');
  expect(one.running.view.network(own.networkId)).toBeDefined();
  expect(one.kernel.writes).toBe(writes);
  one.store.heal();
  await cluster.clock.advance(10_000);
  expect(one.running.findings.map(({ text }) => text).join()).toContain("node h2 changed what is this host's own");
  await checkQuiet(cluster);
});

it('an own record that somebody changed in etcd is put right', async () => {
  const own = one.running.local.all()[0]!.record;
  const key = keys.endpoint(own);
  const value = encodeRecord({ ...own, nodeId: 'node2', mac: '02:42:00:00:00:01', name: 'other' });
  cluster.etcd.txn([], [{ kind: 'put', key, value }]);
  await cluster.clock.advance(5_000);
  expect(cluster.etcd.entries(key).map((entry) => entry.value)).toEqual([encodeRecord(own)]);
  await checkQuiet(cluster);
});

it('a push names all that its transaction wrote', async () => {
  const address = firstAddress(await connect(one, 'b'));
  await cluster.clock.until(one.running.endpoints.disconnect('web', 'b', false));
  const space = (host: SimulatedHost) => host.running.view.quarantine(endpoint.networkId).has(address);
  expect([space(one), space(liar), space(three)]).toEqual([true, true, true]);
  // Taken again at once, which ends the quarantine; the others hear of it by the push alone.
  for (const host of [liar, three]) host.store.cut('refusing');
  await cluster.clock.advance(5_000);
  const request = { network: 'web', container: one.addContainer(), name: 'c', aliases: [], ip: address };
  await cluster.clock.until(one.running.endpoints.connect(request));
  expect([space(one), space(liar), space(three)]).toEqual([false, false, false]);
});
