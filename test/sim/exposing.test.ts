/** A host that is itself on networks: what its kernel and etcd have of it, for how long, and what is refused. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { firstAddress, keys, PREFIX } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { expose, exposingOf } from './exposures.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 3 });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  await until(one.running.networks.create(networkRequest('web', { ipv6: true })));
  await until(one.running.networks.create(networkRequest('vault', { internal: true })));
  await cluster.clock.advance(1_000);
});
afterEach(() => cluster.stop());

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const ownOf = (host: SimulatedHost) =>
  host.running.local.all().map(({ record }) => [record.name, firstAddress(record)]);
const claimed = () => cluster.etcd.entries(`${PREFIX}endpoints/`).length;

it('has addresses of both families, as any endpoint, until they are taken away', async () => {
  await until(
    two.running.endpoints.connect({ network: 'web', container: two.addContainer(), name: 'api', aliases: [] }),
  );
  const { record, names } = await until(expose(one, 'web', { aliases: ['gate'] }));
  expect(record).toMatchObject({ name: 'h1', aliases: ['gate'], tool: 'host', nodeId: 'node1' });
  expect(record.addresses).toHaveLength(2);
  expect(names).toMatchObject({ domain: 'web.overlayd.internal', isAsked: false });
  expect(names.servers).toEqual(one.running.view.networkByName('web')!.subnets.map(({ gateway }) => gateway));
  await checkQuiet(cluster);
  await until(exposingOf(one).unexpose('web'));
  expect(claimed()).toBe(1);
  await checkQuiet(cluster);
  expect(one.kernel.machine.hostSnapshot()).toMatchObject({ links: new Map(), addresses: [], routes: [] });
});

it('is there beside containers of its own, on a network with services, and on one without a way out', async () => {
  for (const network of ['web', 'vault']) {
    await until(one.running.endpoints.connect({ network, container: one.addContainer(), aliases: ['all'] }));
    await until(two.running.endpoints.connect({ network, container: two.addContainer(), aliases: ['all'] }));
    await until(expose(one, network));
    await until(expose(two, network));
  }
  await checkQuiet(cluster);
  const { filter } = one.kernel.machine.hostSnapshot();
  expect(filter?.sets.find(({ name }) => name === 'sealed')?.elements).toEqual(new Set(['ovl4097']));
  await until(exposingOf(one).unexpose('vault'));
  await checkQuiet(cluster);
});

it('stays over the end of the agent, and of the host, which other endpoints do not outlive', async () => {
  await until(expose(one, 'web', { name: 'gate' }));
  await until(
    one.running.endpoints.connect({ network: 'web', container: one.addContainer(), name: 'api', aliases: [] }),
  );
  const before = ownOf(one).find(([name]) => name === 'gate');
  await one.crash();
  const { writes } = one.kernel;
  await one.start();
  await cluster.clock.advance(10_000);
  expect(one.kernel.writes).toBe(writes);
  await one.reboot();
  await until(one.start());
  await cluster.clock.advance(90_000);
  expect(ownOf(one)).toEqual([before]);
  await checkQuiet(cluster);
});

it('is found again where the state file was damaged', async () => {
  await until(expose(one, 'web', { name: 'gate' }));
  await cluster.clock.advance(1_000);
  const before = ownOf(one);
  await one.crash();
  one.stateFile.isDamaged = true;
  await one.start();
  await cluster.clock.advance(20_000);
  expect(ownOf(one)).toEqual(before);
  await checkQuiet(cluster);
});

it('is put right in the kernel when somebody takes a part of it away', async () => {
  const { record } = await until(expose(one, 'vault'));
  const address = { link: 'ovl4097', address: firstAddress(record), prefix: 32 };
  one.kernel.interfere({ kind: 'delete-address', at: '', address });
  one.kernel.interfere({ kind: 'delete-link', at: 'ovl-4097', name: 'up0' });
  await cluster.clock.advance(5_000);
  await checkQuiet(cluster);
});

it('is made whole by who asks for it again, and refused under another name or address', async () => {
  const { record } = await until(expose(one, 'web', { name: 'gate', aliases: ['door'] }));
  expect((await until(expose(one, 'web'))).record.id).toBe(record.id);
  expect((await until(expose(one, 'web', { aliases: ['DOOR', 'gate'] }))).record.id).toBe(record.id);
  expect((await until(expose(one, 'web', { name: 'GATE', ip: firstAddress(record) }))).record.id).toBe(record.id);
  for (const other of [{ name: 'other' }, { ip: '10.0.0.77' }, { aliases: ['door', 'other'] }]) {
    await expect(until(expose(one, 'web', other))).rejects.toThrow(
      /on network web already, as gate \(.*overlayd network unexpose web/,
    );
  }
  await expect(until(one.running.endpoints.disconnect('web', 'gate', false))).rejects.toThrow(/network unexpose web/);
  expect(claimed()).toBe(1);
});

it('stays where a container is to have its name, which is refused', async () => {
  const { record } = await until(expose(one, 'web', { name: 'gate' }));
  const asked = one.running.endpoints.connect({
    ...{ network: 'web', container: one.addContainer(), name: 'gate', aliases: [] },
  });
  await expect(until(asked)).rejects.toMatchObject({ code: 'endpoint-exists' });
  expect(one.running.local.all().map(({ record: { id } }) => id)).toEqual([record.id]);
  expect(claimed()).toBe(1);
  await checkQuiet(cluster);
});

it('is one, however many ask at the same moment', async () => {
  const exposing = exposingOf(one);
  const asked = [1, 2, 3].map(() => exposing.expose({ network: 'web', aliases: [] }));
  const records = await until(Promise.all(asked));
  expect(new Set(records.map(({ record }) => record.id)).size).toBe(1);
  expect(claimed()).toBe(1);
});

it.each([
  ['before', 0],
  ['after', 1],
])('and a container that asks for its name just %s it are not both there', async (_, nth) => {
  const asks = [
    () => expose(one, 'web', { name: 'gate' }),
    () => one.running.endpoints.connect({ network: 'web', container: one.addContainer(), name: 'Gate', aliases: [] }),
  ];
  if (nth === 0) asks.reverse();
  const outcomes = await until(Promise.allSettled(asks.map((ask) => ask())));
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(refused.map(({ reason }) => reason.code)).toEqual(['endpoint-exists']);
  expect(claimed()).toBe(1);
  await checkQuiet(cluster);
});

it.each([
  [
    'an address',
    { addressesNow: [{ link: 'lan0', address: '10.0.0.200', prefix: 32 }] },
    /address 10\.0\.0\.200 \(lan0\) in it/,
  ],
  ['a narrower route', { furtherRoutes: [route('10.0.0.128/25')] }, /route to 10\.0\.0\.128\/25 by tun0/],
  ['as wide a route', { furtherRoutes: [route('10.0.0.0/24')] }, /route to 10\.0\.0\.0\/24 by tun0/],
  ['a neighbour', { furtherRoutes: [{ ...route('10.0.0.0/8'), onLink: true }] }, /route to 10\.0\.0\.0\/8 by tun0/],
])('is refused for %s of the host in the subnet, and leaves nothing', async (_, facts, why) => {
  Object.assign(one.facts, facts);
  await expect(until(expose(one, 'web'))).rejects.toThrow(why);
  expect(claimed()).toBe(0);
});

it('is not refused for a way to everything else', async () => {
  one.facts.furtherRoutes = [route('10.0.0.0/8'), route('0.0.0.0/0'), route('128.0.0.0/1')];
  await until(expose(one, 'web'));
});

it('is refused where containers are kept apart, and when the name is taken', async () => {
  await until(one.running.networks.create(networkRequest('apart', { options: { enable_icc: 'false' } })));
  await expect(until(expose(one, 'apart'))).rejects.toThrow(/keeps its containers apart/);
  await until(
    one.running.endpoints.connect({ network: 'web', container: one.addContainer(), name: 'h1', aliases: [] }),
  );
  await expect(until(expose(one, 'web'))).rejects.toThrow(/endpoint with name h1 already exists .*another --name/);
});

it('what a killed agent was asked for is nothing to the one that is started after it', async () => {
  const ended = vi.fn();
  const asked = expose(one, 'web').finally(ended);
  asked.catch(() => undefined);
  await one.crash();
  await one.start();
  await cluster.clock.advance(30_000);
  expect(ended).not.toHaveBeenCalled();
  expect(ownOf(one)).toEqual([]);
  expect(claimed()).toBe(0);
});

it('what the kernel refuses is undone', async () => {
  one.kernel.failNext(({ kind }) => kind === 'add-address', 20);
  await expect(until(expose(one, 'web'))).rejects.toThrow(/made to fail/);
  await cluster.clock.advance(30_000);
  expect(ownOf(one)).toEqual([]);
  expect(claimed()).toBe(0);
  expect(cluster.etcd.entries(keys.addresses)).toEqual([]);
});

function route(destination: string) {
  return { destination, link: 'tun0', onLink: false, gateways: [] };
}
