/** Records that this version cannot read: left alone, named, and in nobody else's way. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOST } from '../../src/core/host-state.ts';
import { SPOKEN_LEVELS } from '../../src/core/levels.ts';
import { isNetworkNamespace } from '../../src/core/plan/naming.ts';
import { firstAddress, keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { recordingLogger } from '../unit/agent/cluster/cluster-fixture.ts';
import { forget } from './forget.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const STRANGE = '{"format":"of another time"}';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;
let webId: string;
let lines: Parameters<typeof recordingLogger>[0];

beforeEach(async () => {
  lines = [];
  cluster = new SimulatedCluster({ seed: 1, log: recordingLogger(lines) });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  webId = (await cluster.clock.until(one.running.networks.create(networkRequest('web')))).id;
  await cluster.clock.until(one.running.networks.create(networkRequest('other')));
});
afterEach(() => cluster.stop());

const connect = (host: SimulatedHost, options: { network?: string; ip?: string; mac?: string } = {}) =>
  cluster.clock.until(
    host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [], ...options }),
  );
const stored = (key: string) => cluster.etcd.entries(key).find((entry) => entry.key === key)?.value;
async function put(key: string, value = STRANGE): Promise<void> {
  cluster.etcd.txn([], [{ kind: 'put', key, value }]);
  await cluster.clock.advance(3_000);
}
const logged = () => lines.filter(({ fields }) => fields.event === 'record-unreadable');
const ofKey = (key: string) => logged().filter(({ fields }) => (fields.keys as string[]).includes(key));
const problems = (host: SimulatedHost) => host.running.findings.map(({ text }) => text).join('\n');

describe('a record that cannot be read', () => {
  it.each([
    ['cluster', () => keys.cluster],
    ['node', () => keys.node('node9')],
    ['live', () => keys.live('node9')],
    ['network', () => keys.network('n9')],
    ['endpoint', () => keys.endpoint({ nodeId: 'node9', id: 'e9' })],
    ['address', () => keys.address(webId, '10.0.0.99')],
    ['mac', () => keys.mac(webId, '02:00:00:00:00:09')],
    ['quarantine', () => keys.quarantine(webId, '10.0.0.98')],
    ['token', () => keys.token('abcdefgh')],
  ])('is named until it can be read or is gone, and logged once: %s', async (_, keyOf) => {
    const key = keyOf();
    await put(key);
    expect(problems(one)).toContain(key);
    await put(key);
    await cluster.clock.advance(60_000);
    // Once by each host.
    expect(ofKey(key)).toHaveLength(2);
    await put(key, '{"format":"of yet another time"}');
    expect(ofKey(key)).toHaveLength(4);
    await connect(two, { network: 'other' });
    cluster.etcd.txn([], [{ kind: 'delete', key }]);
    await cluster.clock.advance(3_000);
    expect(problems(one)).not.toContain(key);
  });

  it('of the host itself is not written over, and is no removal', async () => {
    const key = keys.node(one.record.id);
    await connect(one);
    await put(key);
    one.running.noteHostChange();
    await cluster.clock.advance(10_000);
    expect(stored(key)).toBe(STRANGE);
    expect(one.running.removed).toBe(false);
    await expect(connect(one)).rejects.toMatchObject({ code: 'version-mismatch' });
    await one.stop();
    await one.start();
    await cluster.clock.advance(10_000);
    expect(one.running.removed).toBe(false);
    expect(stored(key)).toBe(STRANGE);
    expect(one.running.local.all()).toHaveLength(1);
    await connect(two);
  });

  it('of the cluster stops no host that knew it; one that did not makes no network', async () => {
    await put(keys.cluster);
    await cluster.clock.until(one.running.networks.create(networkRequest('third')));
    await two.stop();
    await two.start();
    await cluster.clock.advance(3_000);
    await connect(two);
    await expect(cluster.clock.until(two.running.networks.create(networkRequest('fourth')))).rejects.toMatchObject({
      code: 'version-mismatch',
      message: expect.stringContaining(keys.cluster),
    });
    expect(stored(keys.cluster)).toBe(STRANGE);
  });

  it('of the cluster says its level all the same', async () => {
    const level = SPOKEN_LEVELS.to + 1;
    await put(keys.cluster, JSON.stringify({ level, format: 'of another time' }));
    for (const host of cluster.hosts) expect(host.refusal).toContain(`the cluster speaks level ${level}`);
  });

  it('of a network is neither removed nor joined; its endpoints and other networks go on', async () => {
    const { endpoint } = await connect(one);
    const key = keys.network(webId);
    await put(key);
    for (const refused of [
      connect(two),
      cluster.clock.until(one.running.networks.remove('web', new AbortController().signal)),
    ]) {
      await expect(refused).rejects.toMatchObject({ message: expect.stringMatching(/network web/) });
    }
    await connect(two, { network: 'other' });
    expect(stored(key)).toBe(STRANGE);
    expect(one.running.local.has(endpoint.record.id)).toBe(true);
    expect(two.running.view.addresses(webId).get('10.0.0.2')?.id).toBe(endpoint.record.id);
    const { machine } = one.kernel;
    const places = machine.places();
    await one.stop();
    await one.start();
    await cluster.clock.advance(10_000);
    expect(machine.places()).toEqual(places);
    expect(one.running.local.has(endpoint.record.id)).toBe(true);
  });

  it('of a member holds up the removal of a network, which it may have yet', async () => {
    const { id } = one.running.view.networkByName('other')!;
    await put(keys.node('node9'));
    const removed = await cluster.clock.until(one.running.networks.remove('other', new AbortController().signal));
    expect(removed.waitingFor).toEqual(['node9']);
    expect(stored(keys.network(id))).toBeDefined();
    cluster.etcd.txn([], [{ kind: 'delete', key: keys.node('node9') }]);
    await cluster.clock.advance(10_000);
    expect(stored(keys.network(id))).toBeUndefined();
  });

  it('of an endpoint keeps its address, and its host goes on with the others', async () => {
    const [{ endpoint: first }, { endpoint: second }] = [await connect(one), await connect(one)];
    const key = keys.endpoint(first.record);
    await put(key);
    forget(cluster.etcd, second.record);
    await cluster.clock.advance(5_000);
    expect(stored(key)).toBe(STRANGE);
    expect(stored(keys.endpoint(second.record))).toBeDefined();
    expect(one.running.local.all()).toHaveLength(2);
    await expect(connect(two, { ip: firstAddress(first.record) })).rejects.toThrow(/belongs to/);
    await one.stop();
    await one.start();
    await cluster.clock.advance(5_000);
    expect(one.running.local.all()).toHaveLength(2);
    expect(stored(key)).toBe(STRANGE);
    await cluster.clock.until(one.running.endpoints.disconnect('web', first.record.id, false));
    expect(stored(key)).toBe(STRANGE);
  });

  it.each([
    ['host', () => keys.node(two.record.id)],
    ['endpoint', () => keys.endpoint(two.running.local.all()[0]!.record)],
    ['address', () => keys.address(webId, '10.0.0.3')],
  ])('of another %s takes nothing of it out of the kernel, also when the agent is started anew', async (_, keyOf) => {
    for (const host of [one, two, two]) await connect(host);
    await cluster.clock.advance(3_000);
    const { machine } = one.kernel;
    const [namespace] = machine.places().filter(isNetworkNamespace);
    const look = () => {
      const { neighbours, fdb } = machine.snapshot(namespace!)!;
      return { neighbours, fdb, filter: machine.snapshot(HOST)!.filter };
    };
    const before = look();
    expect(before.fdb.filter(({ vtep }) => vtep === two.record.vtep)).toHaveLength(2);
    const key = keyOf();
    const right = stored(key)!;
    await put(key);
    await one.stop();
    await one.start();
    await cluster.clock.advance(10_000);
    expect(look()).toEqual(before);
    // What can be read is followed meanwhile, and all of it once that can be read again.
    const { endpoint } = await connect(one);
    await cluster.clock.advance(3_000);
    await put(key, right);
    await cluster.clock.until(one.running.endpoints.disconnect('web', endpoint.record.id, false));
    await cluster.clock.advance(10_000);
    expect(look()).toEqual(before);
  });

  it('that claims an address or a MAC is nobody’s to take', async () => {
    const mac = '02:00:00:00:00:09';
    cluster.etcd.txn([], [{ kind: 'put', key: keys.address(webId, '10.0.0.9'), value: STRANGE }]);
    await put(keys.mac(webId, mac));
    await put(keys.mac(webId, '02:42:0a:00:00:05'));
    await expect(connect(two, { ip: '10.0.0.9' })).rejects.toThrow(/10\.0\.0\.9/);
    await expect(connect(two, { mac })).rejects.toThrow(new RegExp(mac));
    expect(stored(keys.mac(webId, mac))).toBe(STRANGE);
    for (let i = 0; i < 10; i++) expect(firstAddress((await connect(two)).endpoint.record)).not.toMatch(/\.[59]$/);
    expect(cluster.etcd.entries(keys.address(webId, '10.0.0.9'))[0]?.value).toBe(STRANGE);
  });
});
