/** Hosts of several versions in one cluster, upgraded and rolled back one by one. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentVersion } from '../../src/core/levels.ts';
import { decodeCluster, decodeNode } from '../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { recordingLogger } from '../unit/agent/cluster/cluster-fixture.ts';
import { checkQuiet } from './invariants.ts';
import { seededRandom } from './seeded-random.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const OLD: AgentVersion = { version: '0.1.0', levels: { from: 1, to: 1 } };
const NEW: AgentVersion = { version: '0.2.0', levels: { from: 1, to: 2 } };

let cluster: SimulatedCluster;
let log: { message: string; fields: Record<string, unknown> }[];

async function make(seed = 1): Promise<SimulatedHost[]> {
  const lines: Parameters<typeof recordingLogger>[0] = [];
  log = lines as typeof log;
  cluster = new SimulatedCluster({ seed, agent: OLD, log: recordingLogger(lines) });
  await cluster.start(3);
  await cluster.clock.until(cluster.hosts[0]!.running.networks.create(networkRequest('web')));
  for (const host of cluster.hosts) await connect(host);
  return cluster.hosts;
}

beforeEach(() => make().then(() => undefined));
afterEach(() => cluster.stop());

const connect = (host: SimulatedHost) =>
  cluster.clock.until(host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [] }));

async function install(host: SimulatedHost, agent: AgentVersion): Promise<void> {
  if (host.member) await host.stop();
  host.agent = agent;
  await cluster.clock.until(host.start());
  await cluster.clock.advance(3_000);
}

const levelInEtcd = () => decodeCluster(cluster.etcd.entries(keys.cluster)[0]!.value)!.level ?? 1;
const raised = () => log.filter(({ fields }) => fields.event === 'level-raised').length;

describe('the level of a cluster', () => {
  it.each([1, 2, 3, 4, 5])('rises when the last host is upgraded, and not before (seed %i)', async (seed) => {
    await cluster.stop();
    const hosts = await make(seed);
    const random = seededRandom(seed);
    const order = [...hosts].sort(() => random.next() - 0.5);
    for (const host of order) {
      expect(levelInEtcd()).toBe(1);
      await install(host, NEW);
    }
    expect(levelInEtcd()).toBe(2);
    expect(raised()).toBe(1);
    for (const host of hosts) expect(host.running.view.level).toBe(2);
    await checkQuiet(cluster);
  });

  it('does not wait for a host that has left, and does for one that is down', async () => {
    const [h1, h2, h3] = cluster.hosts;
    await h3!.crash();
    await install(h1!, NEW);
    await install(h2!, NEW);
    expect(levelInEtcd()).toBe(1);
    const entry = cluster.etcd.entries(keys.node(h3!.record.id))[0]!;
    const left = JSON.stringify({ ...JSON.parse(entry.value), left: true });
    cluster.etcd.txn([], [{ kind: 'put', key: entry.key, value: left }]);
    await cluster.clock.advance(3_000);
    expect(levelInEtcd()).toBe(2);
  });

  it('is in the record of each node, with its version', async () => {
    await install(cluster.hosts[0]!, NEW);
    const nodes = cluster.etcd.entries(`${PREFIX}nodes/`).map(({ value }) => decodeNode(value)!);
    expect(nodes.map(({ version, levels }) => [version, levels])).toEqual([
      ['0.2.0', { from: 1, to: 2 }],
      ['0.1.0', { from: 1, to: 1 }],
      ['0.1.0', { from: 1, to: 1 }],
    ]);
  });

  it('does not rise while a node’s record cannot be read', async () => {
    cluster.etcd.txn([], [{ kind: 'put', key: keys.node('node9'), value: '{"id":9}' }]);
    for (const host of cluster.hosts) await install(host, NEW);
    expect(levelInEtcd()).toBe(1);
  });
});

describe('a network with multicast', () => {
  const options = { multicast: 'true' };
  const create = (host: SimulatedHost, name: string) =>
    cluster.clock.until(host.running.networks.create({ ...networkRequest(name), options }));

  it('is refused until every host knows what that is, and the others are named', async () => {
    const [h1, h2, h3] = cluster.hosts;
    await install(h1!, NEW);
    await install(h2!, NEW);
    const refusal = {
      code: 'version-mismatch',
      message: `networks with multicast need an overlayd that speaks level 2 on every host: upgrade it on ${h3!.record.name} (0.1.0), or remove hosts that do not come back (overlayd node rm)`,
    };
    await expect(create(h1!, 'room')).rejects.toMatchObject(refusal);
    await install(h3!, NEW);
    expect((await create(h1!, 'room')).options).toEqual(options);
    await checkQuiet(cluster);
  });
});

describe('an agent that is rolled back', () => {
  it('says so before the level has risen, and holds it back', async () => {
    const [h1, h2, h3] = cluster.hosts;
    await install(h1!, NEW);
    await install(h2!, NEW);
    await install(h1!, OLD);
    await install(h3!, NEW);
    expect(levelInEtcd()).toBe(1);
    await install(h1!, NEW);
    expect(levelInEtcd()).toBe(2);
  });

  async function rollBack(host: SimulatedHost): Promise<void> {
    for (const each of cluster.hosts) await install(each, NEW);
    const record = cluster.etcd.entries(keys.node(host.record.id))[0]!;
    const { writes } = host.kernel;
    await install(host, OLD);
    expect(host.member).toBeUndefined();
    expect(host.refusal).toMatch(/overlayd 0\.1\.0, which speaks level 1; the cluster speaks level 2: install a newer/);
    expect(host.kernel.writes).toBe(writes);
    expect(cluster.etcd.entries(record.key)[0]).toEqual(record);
  }

  it('touches nothing once it has risen, and goes on when it is upgraded', async () => {
    const [h1] = cluster.hosts;
    await rollBack(h1!);
    await install(h1!, NEW);
    await connect(h1!);
    await checkQuiet(cluster);
  });

  it('knows that without etcd, and after its host was restarted', async () => {
    const [h1] = cluster.hosts;
    await rollBack(h1!);
    h1!.store.cut();
    await install(h1!, OLD);
    expect(h1!.refusal).toBeDefined();
    await h1!.reboot();
    await install(h1!, OLD);
    expect(h1!.refusal).toBeDefined();
    h1!.store.heal();
    await install(h1!, NEW);
    expect(h1!.refusal).toBeUndefined();
  });

  it('knows that of a file of which it can read no more, and leaves it as it is', async () => {
    const [h1] = cluster.hosts;
    for (const host of cluster.hosts) await install(host, NEW);
    for (const host of cluster.hosts) await host.stop();
    h1!.stateFile.isDamaged = 'but for its memory of etcd';
    h1!.store.cut();
    await install(h1!, OLD);
    expect(h1!.refusal).toContain('the cluster speaks level 2');
    expect(h1!.stateFile.isDamaged).toBeTruthy();
    h1!.stateFile.isDamaged = false;
    h1!.store.heal();
    for (const host of cluster.hosts) await install(host, NEW);
    await checkQuiet(cluster);
  });

  it('finds it out from etcd when its files do not say it', async () => {
    const [h1] = cluster.hosts;
    for (const host of cluster.hosts) await install(host, NEW);
    await h1!.stop();
    h1!.stateFile.lose();
    h1!.runFile.lose();
    await install(h1!, OLD);
    expect(h1!.member).toBeUndefined();
    expect(h1!.refusal).toContain('the cluster speaks level 2');
    await install(h1!, NEW);
    await checkQuiet(cluster);
  });

  it('goes on when etcd was put back to before that', async () => {
    const [h1] = cluster.hosts;
    const backup = cluster.etcd.backUp();
    await rollBack(h1!);
    for (const host of cluster.hosts) if (host.member) await host.stop();
    cluster.etcd.restore(backup, cluster.etcd.revision + 1_000_000_000);
    for (const host of cluster.hosts) await install(host, OLD);
    for (const host of cluster.hosts) expect(host.refusal).toBeUndefined();
  });
});
