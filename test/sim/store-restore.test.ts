/** A store that runs is put back from a backup while agents work with it, and the one who does so dies on the way. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Identity } from '../../src/agent/cluster/identity.ts';
import { backUpStore, restoreStore, type StoreChangeDeps } from '../../src/agent/store/restore.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { keys } from '../../src/core/records.ts';
import type { ClusterStore } from '../../src/ports/store.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

const connect = (host: SimulatedHost, network: string, name: string) =>
  cluster.clock.until(host.running.endpoints.connect({ network, container: host.addContainer(), name, aliases: [] }));
const create = (network: string) => cluster.clock.until(one.running.networks.create(networkRequest(network)));

/** `dies`: after so many transactions. */
function depsOf(host: SimulatedHost, dies = Number.POSITIVE_INFINITY): StoreChangeDeps {
  let left = dies;
  const { store } = host;
  const txn: ClusterStore['txn'] = async (compares, writes) => {
    if (left-- <= 0) throw new OverlaydError('store-unavailable', 'the agent is dead', { retryable: true });
    return await store.txn(compares, writes);
  };
  return {
    store: { get: (key: string) => store.get(key), list: (prefix: string) => store.list(prefix), txn },
    table: host.running.table,
    identity: { clusterId: 'c1', nodeId: host.record.id, name: host.record.name, caKey: 'k' } as unknown as Identity,
    ...{ self: host.record, agent: host.agent, keepers: [host.record], isAway: () => false },
    pki: { sha256: (text: string) => createHash('sha256').update(text).digest('hex') },
    ...{ clock: cluster.clock, random: cluster.random },
  } as unknown as StoreChangeDeps;
}

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(3);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  await create('web');
  await create('idle');
  await connect(one, 'web', 'a');
  await connect(two, 'web', 'b');
  await cluster.clock.advance(5_000);
});

afterEach(() => cluster.stop());

it.each([undefined, 0, 1, 2])(
  'nothing goes down, and what was removed is there again (dies after %s)',
  async (dies) => {
    const { text } = await cluster.clock.until(backUpStore(depsOf(one), false));
    await cluster.clock.until(one.running.networks.remove('idle', new AbortController().signal));
    await connect(two, 'web', 'c');
    await cluster.clock.advance(5_000);
    const writes = cluster.hosts.map(({ kernel }) => kernel.writes);
    const restore = (after?: number) =>
      cluster.clock.until(restoreStore(depsOf(one, after), { backup: text, newStore: false }, () => undefined));
    if (dies !== undefined) {
      await expect(restore(dies)).rejects.toThrow('the agent is dead');
      await cluster.clock.advance(20_000);
      if (dies > 0) expect(two.running.findings.map(({ text }) => text).join()).toContain('store is being restored');
    }
    expect(cluster.hosts.map(({ kernel }) => kernel.writes)).toEqual(writes);
    await restore();
    await cluster.clock.advance(90_000);
    expect(cluster.hosts.map(({ kernel }) => kernel.writes)).toEqual(writes);
    for (const host of cluster.hosts) {
      expect(host.running.findings.map(({ text }) => text)).toEqual([]);
      expect([...host.running.view.networks()].map(({ name }) => name).sort()).toEqual(['idle', 'web']);
    }
    expect(cluster.etcd.entries(keys.endpoints)).toHaveLength(3);
    await connect(two, 'idle', 'd');
    await checkQuiet(cluster);
  },
);
