/** An etcd that goes back in time: nothing is taken down for that. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { FORMER_PREFIX, keys, PREFIX } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { expose, exposingOf } from './exposures.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

const connect = (host: SimulatedHost, network: string, name: string) =>
  cluster.clock.until(host.running.endpoints.connect({ network, container: host.addContainer(), name, aliases: [] }));

const restart = async () => {
  for (const host of cluster.running) await host.crash();
  await cluster.clock.advance(1_000);
  for (const host of cluster.hosts) await host.start();
};

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await connect(one, 'web', 'a');
  await cluster.clock.advance(5_000);
});

afterEach(() => cluster.stop());

it.each(['running', 'restarted'])(
  'endpoints that a backup does not hold are claimed again (%s agents)',
  async (which) => {
    const backup = cluster.etcd.backUp();
    await connect(one, 'web', 'b');
    await connect(two, 'web', 'c');
    await cluster.clock.advance(5_000);
    const writes = [one.kernel.writes, two.kernel.writes];
    cluster.etcd.restore(backup);
    if (which === 'restarted') await restart();
    await cluster.clock.advance(20_000);
    expect(one.running.findings.map(({ text }) => text).join()).toContain('It holds all endpoints of this host');
    await cluster.clock.advance(60_000);
    expect([one.kernel.writes, two.kernel.writes]).toEqual(writes);
    expect(one.running.view.behind).toBe(false);
    expect(one.running.findings.map(({ text }) => text)).toEqual([]);
    await connect(two, 'web', 'd');
    await cluster.clock.advance(5_000);
    expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toHaveLength(4);
    await checkQuiet(cluster);
  },
);

it.each(['running', 'restarted', 'restarted twice', 'restarted, and its revision was raised:'])(
  'endpoints that have no place in the backup stay up until somebody decides (%s agents)',
  async (which) => {
    const backup = cluster.etcd.backUp();
    await cluster.clock.until(one.running.networks.create(networkRequest('later')));
    await connect(one, 'later', 'x');
    await connect(two, 'later', 'y');
    await cluster.clock.advance(5_000);
    const writes = one.kernel.writes;
    cluster.etcd.restore(backup, which.includes('raised') ? cluster.etcd.revision + 1_000_000_000 : undefined);
    if (which !== 'running') await restart();
    await cluster.clock.advance(60_000);
    if (which === 'restarted twice') {
      // The store has come further than it ever was meanwhile.
      for (let i = 0; i < 100; i++) cluster.etcd.txn([], [{ kind: 'put', key: '/other', value: String(i) }]);
      await restart();
      await cluster.clock.advance(60_000);
    }
    expect(one.kernel.writes).toBe(writes);
    expect(one.running.local.all().map(({ record }) => record.name)).toEqual(['a', 'x']);
    expect(one.running.findings.map(({ text }) => text)).toEqual([
      expect.stringMatching(/restored from a backup.*Nothing is taken down.*x \(network later\)/),
    ]);
    expect(one.running.removed).toBe(false);
    for (const host of [one, two])
      await cluster.clock.until(host.running.endpoints.disconnect('later', host === one ? 'x' : 'y', false));
    await cluster.clock.advance(70_000);
    for (const host of [one, two]) expect(host.running.findings.map(({ text }) => text)).toEqual([]);
    await checkQuiet(cluster);
  },
);

it('an address of a host itself that has no place in the backup is let go of as it was asked for', async () => {
  const backup = cluster.etcd.backUp();
  await cluster.clock.until(one.running.networks.create(networkRequest('later')));
  await cluster.clock.until(expose(one, 'later'));
  await cluster.clock.advance(5_000);
  cluster.etcd.restore(backup);
  await cluster.clock.advance(60_000);
  expect(one.running.findings.map(({ text }) => text)).toEqual([
    expect.stringMatching(/h1 \(network later\).*`overlayd network unexpose NETWORK`/),
  ]);
  await cluster.clock.until(exposingOf(one).unexpose('later'));
  await cluster.clock.advance(70_000);
  expect(one.running.findings.map(({ text }) => text)).toEqual([]);
  await checkQuiet(cluster);
});

it.each(['running', 'restarted'])(
  'a host that was admitted after the backup is a member again (%s agents)',
  async (which) => {
    const node = { ...two.record };
    const key = keys.node(node.id);
    const nameKey = keys.nodeName(node.name);
    const [record, name] = [key, nameKey].map((each) => cluster.etcd.entries(each)[0]!);
    cluster.etcd.txn(
      [],
      [key, nameKey].map((each) => ({ kind: 'delete', key: each })),
    );
    const backup = cluster.etcd.backUp();
    cluster.etcd.txn(
      [],
      [record, name].map((each) => ({ kind: 'put', ...each! })),
    );
    await cluster.clock.advance(1_000);
    await connect(two, 'web', 'c');
    // By then every agent has written down how far etcd had come.
    await cluster.clock.advance(70_000);
    const writes = [one.kernel.writes, two.kernel.writes];
    cluster.etcd.restore(backup);
    if (which === 'restarted') await restart();
    await cluster.clock.advance(90_000);
    expect([one.kernel.writes, two.kernel.writes]).toEqual(writes);
    for (const host of [one, two]) expect(host.running.findings.map(({ text }) => text)).toEqual([]);
    expect(one.running.view.node(node.id)?.vtep).toBe(node.vtep);
    await connect(two, 'web', 'd');
    await checkQuiet(cluster);
  },
);

it('a host whose name was taken after the restore says so, and keeps what it has', async () => {
  const key = keys.node(two.record.id);
  await connect(two, 'web', 'c');
  cluster.etcd.txn([], [{ kind: 'delete', key }]);
  const backup = cluster.etcd.backUp();
  cluster.etcd.txn([], [{ kind: 'put', key, value: encodeRecord(two.record) }]);
  await cluster.clock.advance(70_000);
  const { writes } = two.kernel;
  await two.crash();
  cluster.etcd.restore(backup);
  cluster.etcd.txn([], [{ kind: 'put', key: keys.nodeName(two.record.name), value: 'node9' }]);
  await two.start();
  await cluster.clock.advance(90_000);
  expect(two.running.findings.map(({ text }) => text).join()).toContain(
    'does not hold this node, which enters itself again unless another one has its name',
  );
  expect(two.kernel.writes).toBe(writes);
});

it.each(['running', 'restarted'])(
  'what was let go of since the backup is let go of again (%s agents)',
  async (which) => {
    await connect(one, 'web', 'b');
    await connect(two, 'web', 'c');
    await cluster.clock.advance(70_000);
    const backup = cluster.etcd.backUp();
    for (const [host, name] of [
      [one, 'b'],
      [two, 'c'],
    ] as const)
      await cluster.clock.until(host.running.endpoints.disconnect('web', name, false));
    await connect(two, 'web', 'd');
    await cluster.clock.advance(70_000);
    cluster.etcd.restore(backup);
    if (which === 'restarted') await restart();
    await cluster.clock.advance(90_000);
    for (const host of [one, two]) expect(host.running.findings.map(({ text }) => text)).toEqual([]);
    expect(one.running.local.all().map(({ record }) => record.name)).toEqual(['a']);
    expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toHaveLength(2);
    await checkQuiet(cluster);
  },
);

it('an etcd that lost everything takes nothing down', async () => {
  const writes = one.kernel.writes;
  cluster.etcd.wipe();
  await cluster.clock.advance(60_000);
  expect(one.kernel.writes).toBe(writes);
  expect(one.running.removed).toBe(false);
  expect(one.running.findings.map(({ text }) => text).join()).toContain('a (network web)');
});

it('an etcd that lost everything but counts on takes nothing down', async () => {
  const writes = one.kernel.writes;
  cluster.etcd.wipe(cluster.etcd.revision + 1_000);
  await cluster.clock.advance(60_000);
  expect(one.kernel.writes).toBe(writes);
  expect(one.running.findings.map(({ text }) => text).join()).toContain('a (network web)');
});

it('an etcd that counts on after a restore is no reason to wait', async () => {
  const backup = cluster.etcd.backUp();
  await connect(one, 'web', 'b');
  await cluster.clock.advance(5_000);
  cluster.etcd.restore(backup, cluster.etcd.revision + 1_000_000);
  await cluster.clock.advance(20_000);
  expect(one.running.findings.map(({ text }) => text)).toEqual([]);
  expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toHaveLength(2);
  await checkQuiet(cluster);
});

it('an etcd that holds the records of an older release alone takes nothing down, and the status says what to do', async () => {
  const { writes } = one.kernel;
  const former = { value: '{"id":"old"}', revision: 2, lease: undefined };
  cluster.etcd.restore({ keys: new Map([[`${FORMER_PREFIX}cluster`, former]]), revision: 2 });
  await cluster.clock.advance(10_000);
  for (const host of cluster.hosts) {
    expect(host.running.findings.map(({ text }) => text).join()).toMatch(
      /of an older overlayd .*install the release that made it/,
    );
    expect(host.running.findings.map(({ text }) => text).join()).not.toContain('restored from a backup');
  }
  await restart();
  await cluster.clock.advance(10_000);
  expect(one.running.findings.map(({ text }) => text).join()).toMatch(
    /of an older overlayd .*install the release that made it/,
  );
  expect(one.kernel.writes).toBe(writes);
  expect(one.running.local.all()).toHaveLength(1);
  expect(cluster.etcd.entries(PREFIX).filter(({ key }) => !key.startsWith(keys.live('')))).toEqual([]);
});
