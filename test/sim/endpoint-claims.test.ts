/** An endpoint is a record and a claim for each address: whatever becomes of either, the claim says whose the address is. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimEntry } from '../../src/agent/claims/endpoint-claims.ts';
import { decodeClaim, encodeRecord } from '../../src/core/record-codec.ts';
import { type EndpointRecord, firstAddress, keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { killAt, MOMENTS } from './killed-claim.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;
let three: SimulatedHost;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(3);
  [one, two, three] = cluster.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(1_000);
});

afterEach(() => cluster.stop());

const begin = (host: SimulatedHost, options: { ip?: string } = {}) =>
  host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [], ...options });
const connect = async (host: SimulatedHost, options: { ip?: string } = {}) =>
  (await cluster.clock.until(begin(host, options))).endpoint.record;
const claimOf = (record: EndpointRecord) => keys.address(record.networkId, firstAddress(record));
const remove = (key: string) => cluster.etcd.txn([], [{ kind: 'delete', key }]);
const put = (key: string, record: object) => cluster.etcd.txn([], [{ kind: 'put', key, value: encodeRecord(record) }]);
const at = (host: SimulatedHost, record: EndpointRecord) =>
  host.running.view.addresses(record.networkId).get(firstAddress(record));

describe('what somebody took away in etcd is written again', () => {
  it.each([
    ['claim', claimOf],
    ['record', keys.endpoint],
  ])('the %s, and nothing is taken down meanwhile', async (_, keyOf) => {
    const record = await connect(one);
    await connect(two);
    await cluster.clock.advance(5_000);
    const { writes } = one.kernel;
    remove(keyOf(record));
    await cluster.clock.advance(5_000);
    expect(cluster.etcd.entries(keyOf(record))).toHaveLength(1);
    expect(one.kernel.writes).toBe(writes);
    await checkQuiet(cluster);
  });
});

it('nobody gets the address of a record without a claim', async () => {
  const record = await connect(one);
  await cluster.clock.advance(1_000);
  one.store.cut();
  await cluster.clock.advance(5_000);
  remove(claimOf(record));
  await cluster.clock.advance(1_000);
  expect(at(three, record)?.id).toBe(record.id);
  const ip = firstAddress(record);
  await expect(connect(two, { ip })).rejects.toThrow('belongs to c1 on h1');
  expect(firstAddress(await connect(two))).not.toBe(ip);
  one.store.heal();
  await cluster.clock.advance(5_000);
  await checkQuiet(cluster);
});

it('a claim that is written over is not believed, named, and taken back by its owner', async () => {
  const record = await connect(one);
  for (const host of [two, three]) await connect(host);
  const thief = { ...record, id: 'f'.repeat(64), nodeId: 'node2', name: 'other', createdAt: 1 };
  await cluster.clock.advance(1_000);
  for (const host of cluster.hosts) expect(at(host, record)?.id).toBe(record.id);
  one.store.cut();
  await cluster.clock.advance(5_000);
  put(keys.endpoint(thief), thief);
  const claim = claimEntry(thief, firstAddress(thief));
  put(claim.key, claim.record);
  await cluster.clock.advance(1_000);
  for (const host of cluster.hosts) expect(at(host, record)?.id).toBe(record.id);
  expect(three.running.findings.map(({ text }) => text)).toEqual([
    expect.stringMatching(/^node h2 claims 10\.0\.0\.2, where endpoint c1/),
  ]);
  one.store.heal();
  await cluster.clock.advance(5_000);
  expect(decodeClaim(cluster.etcd.entries(claimOf(record))[0]!.value)?.endpointId).toBe(record.id);
  expect(three.running.findings.map(({ text }) => text)).toEqual([]);
  // Which is no endpoint of its host's.
  await two.stop();
  await two.start();
  await cluster.clock.advance(5_000);
  expect(cluster.etcd.entries(keys.endpoint(thief))).toEqual([]);
  await checkQuiet(cluster);
});

it('an address whose claim is another endpoint’s, and whose record has gone, its owner lets go of', async () => {
  const record = await connect(one);
  const { id, nodeId } = { id: 'f'.repeat(64), nodeId: 'node2' };
  await cluster.clock.advance(1_000);
  one.store.cut();
  await cluster.clock.advance(5_000);
  remove(keys.endpoint(record));
  put(claimOf(record), { endpointId: id, nodeId });
  await cluster.clock.advance(1_000);
  expect([at(two, record), at(three, record)]).toEqual([undefined, undefined]);
  one.store.heal();
  await cluster.clock.advance(5_000);
  expect(one.running.local.all()).toEqual([]);
  expect(cluster.etcd.entries(keys.endpoints)).toEqual([]);
  // The claim is none of its owner's business, nor quarantined by it.
  expect(cluster.etcd.entries(claimOf(record))).toHaveLength(1);
  expect(cluster.etcd.entries(keys.quarantine(record.networkId, firstAddress(record)))).toEqual([]);
  await expect(connect(three, { ip: firstAddress(record) })).rejects.toThrow('belongs to an endpoint on h2');
  await expect(
    cluster.clock.until(one.running.networks.remove('web', new AbortController().signal)),
  ).rejects.toMatchObject({ code: 'network-in-use', message: expect.stringContaining(`${id.slice(0, 12)} on h2`) });
  // Whose it says it is finds at its next start that it has no such endpoint.
  await two.stop();
  await two.start();
  await cluster.clock.advance(5_000);
  expect(cluster.etcd.entries(keys.addresses)).toEqual([]);
  await checkQuiet(cluster);
});

describe('an agent that is killed', () => {
  it.each(MOMENTS)('while it claims leaves neither a claim nor a record: %s', async (moment) => {
    const killed = killAt(one, moment, keys.addresses);
    void begin(one).catch(() => undefined);
    await cluster.clock.until(killed);
    await cluster.clock.advance(1_000);
    await one.start();
    await cluster.clock.advance(10_000);
    await checkQuiet(cluster);
    await connect(one);
  });

  it.each(MOMENTS)('while it releases leaves neither: %s', async (moment) => {
    const { id } = await connect(one);
    const killed = killAt(one, moment, keys.addresses);
    void one.running.endpoints.disconnect('web', id, false).catch(() => undefined);
    await cluster.clock.until(killed);
    await cluster.clock.advance(1_000);
    await one.start();
    await cluster.clock.advance(10_000);
    expect(cluster.etcd.entries(keys.endpoints)).toEqual([]);
    await checkQuiet(cluster);
  });
});
