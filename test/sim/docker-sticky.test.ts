/** Addresses that stay with the names of an engine's containers, where the engine says for whom it wants one. */
import { beforeEach, expect, it } from 'vitest';
import { keptOn } from '../../src/core/ipam/kept.ts';
import { PREFIX } from '../../src/core/records.ts';
import { useEngines } from './engine-story.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { cluster, hosts, until, pass, create, run, claims, addresses } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(async () => {
  [one, two] = hosts();
  for (const { engine } of hosts()) engine.version = '29.0.0';
  await create('web', { options: { sticky: 'true' }, subnets: ['10.5.0.0/24', 'fd00:5::/64'], ipv6: true });
});

/** Name and addresses of each. */
function kept(): string[] {
  const entries = cluster().etcd.entries(`${PREFIX}quarantine/`);
  const resting = new Map(
    entries.map(({ key, value }) => [key.slice(key.lastIndexOf('/') + 1), JSON.parse(value)] as const),
  );
  return keptOn(resting).map(({ name, addresses: all }) => `${name} ${all}`);
}

it('a container has its address again when it is started again, here or elsewhere', async () => {
  await run(one, 'db', { web: {} });
  await run(one, 'api', { web: {} });
  await pass(1_000);
  expect(addresses()).toEqual(['10.5.0.2', '10.5.0.3']);
  await until(one.engine.stopContainer('db'));
  await run(two, 'other', { web: {} });
  await until(one.engine.startContainer('db'));
  await pass(1_000);
  expect(claims().map(({ name }) => name)).toEqual(['db', 'api', 'other']);
  await until(one.engine.removeContainer('db'));
  expect(kept()).toEqual(['db 10.5.0.2,fd00:5::2']);
  await run(two, 'db', { web: {} });
  expect(claims().find(({ name }) => name === 'db')!.addresses).toMatchObject([
    { ip: '10.5.0.2' },
    { ip: 'fd00:5::2' },
  ]);
  expect(kept()).toEqual([]);
});

it('one that was renamed leaves its address to the name that it had last', async () => {
  await run(one, 'db', { web: {} });
  await pass(1_000);
  await until(one.engine.renameContainer('db', 'database'));
  await pass(1_000);
  await until(one.engine.removeContainer('database'));
  expect(kept()).toEqual(['database 10.5.0.2,fd00:5::2']);
});

it('containers of a host that lost power have theirs again', async () => {
  await run(one, 'db', { web: {} });
  await run(one, 'api', { web: {} });
  await pass(1_000);
  await one.reboot();
  await one.start();
  await pass(5_000);
  void one.engine.start();
  await pass(5_000);
  await until(one.engine.startContainer('api'));
  await until(one.engine.startContainer('db'));
  await pass(1_000);
  expect(claims().map(({ name }) => name)).toEqual(['db', 'api']);
  expect(kept()).toEqual([]);
});

it('so do those that start before the agent has sorted out what was', async () => {
  for (const name of ['db', 'api']) await until(one.engine.run(name, { networks: { web: {} }, restarts: true }));
  await pass(1_000);
  await one.reboot();
  await one.start();
  void one.engine.start();
  await pass(10_000);
  expect(claims().map(({ name }) => name)).toEqual(['db', 'api']);
  expect(addresses()).toEqual(['10.5.0.2', '10.5.0.3']);
  expect(kept()).toEqual([]);
});

it('an address that is asked for and not used stays with the name, also over a restart of the agent', async () => {
  const { ipv4, ipv6, id: networkId } = [...one.engine.objects.values()][0]!;
  const asked = { address: undefined, gateway: false, endpointName: 'db', mac: undefined };
  const { address } = await until(one.line.call('requestAddress', { ...asked, poolId: ipv4!.poolId }));
  const { address: ipv6Address } = await until(one.line.call('requestAddress', { ...asked, poolId: ipv6!.poolId }));
  await one.crash();
  await one.start();
  await pass(100);
  const endpoint = { networkId, endpointId: 'e'.repeat(64), address, ipv6Address, mac: undefined };
  await until(one.line.call('createEndpoint', { ...endpoint, publishesPorts: false, dnsServers: [], options: {} }));
  expect(claims()).toMatchObject([{ name: 'db', sticky: true, addresses: [{ ip: '10.5.0.2' }, { ip: 'fd00:5::2' }] }]);
  await until(one.line.call('deleteEndpoint', endpoint));
  expect(kept()).toEqual(['db 10.5.0.2,fd00:5::2']);
});

it('of what is kept for several of a name, one that asks for an address of its own takes no more than its own', async () => {
  for (const host of [one, two]) await run(host, 'db', { web: {} });
  await pass(1_000);
  await until(two.engine.removeContainer('db'));
  await until(one.engine.removeContainer('db'));
  expect(kept()).toHaveLength(2);
  await run(one, 'db', { web: { ip6: 'fd00:5::77' } });
  expect(claims()).toMatchObject([{ name: 'db', sticky: true, addresses: [{ ip: '10.5.0.2' }, { ip: 'fd00:5::77' }] }]);
  expect(kept()).toEqual(['db 10.5.0.3,fd00:5::3']);
});

it('nothing is kept for containers of an engine that does not say whose an address is to be', async () => {
  one.engine.version = '28.5.2';
  await run(one, 'db', { web: {} });
  await pass(1_000);
  expect(claims()[0]).toMatchObject({ name: 'db' });
  await until(one.engine.stopContainer('db'));
  expect(kept()).toEqual([]);
  await until(one.engine.startContainer('db'));
  expect(addresses()).toEqual(['10.5.0.3']);
});
