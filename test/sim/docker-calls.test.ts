/** Single calls of the drivers, and of the agent to its engine. */
import { beforeEach, describe, expect, it } from 'vitest';
import { connectThroughEngine } from '../../src/integrations/control/engine-container.ts';
import { dockerNetwork, useEngines } from './engine-story.ts';
import type { NetworkObject } from './fake-libnetwork.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { hosts, until, pass, create, run, claims, addresses, offered } = useEngines();
let one: SimulatedHost;

beforeEach(() => {
  [one] = hosts();
});

describe('a call that comes twice', () => {
  beforeEach(async () => {
    await create('web');
  });

  it('is answered the same and changes nothing', async () => {
    const { sandbox, attachments } = await run(one, 'api', { web: {} });
    await pass(1_000);
    const { id: endpointId, network, address, mac, joined } = attachments.get('web')!.endpoint!;
    const ids = { networkId: network.id, endpointId };
    const request = { ...ids, address, ipv6Address: undefined, mac: undefined, publishesPorts: false };
    const before = claims();
    const created = await until(one.line.call('createEndpoint', { ...request, dnsServers: [], options: {} }));
    expect(created).toEqual({ mac });
    expect(await until(one.line.call('join', { ...ids, sandbox, publishesPorts: false }))).toMatchObject({
      staticRoutes: joined!.staticRoutes,
    });
    const { pool, gateway } = network.ipv4!;
    const pools = [{ addressSpace: 'overlayd-local', pool, gateway, auxAddresses: {} }];
    const made = { networkId: network.id, internal: false, ipv4: true, options: {}, pools, ipv6Pools: [] };
    await until(one.line.call('createNetwork', made));
    expect(claims()).toEqual(before);
    expect(offered(one)).toEqual(['web']);
  });

  it('does not make a network another one than it was', async () => {
    const networkId = await until(one.engine.createNetworkAs(dockerNetwork('db')));
    const { pool, gateway } = one.engine.objects.get(networkId)!.ipv4!;
    const pools = [{ addressSpace: 'overlayd-local', pool, gateway, auxAddresses: {} }];
    await until(
      one.line.call('createNetwork', { networkId, internal: false, ipv4: true, options: {}, pools, ipv6Pools: [] }),
    );
    await until(one.engine.removeNetworkAs('db'));
    await pass(1_000);
    expect(offered(one)).toEqual(['web']);
  });

  it('has nothing left to do when everything is gone', async () => {
    const { attachments } = await run(one, 'api', { web: {} });
    const { id: endpointId, network } = attachments.get('web')!.endpoint!;
    await until(one.engine.removeContainer('api'));
    const ids = { networkId: network.id, endpointId };
    await until(one.line.call('leave', ids));
    await until(one.line.call('deleteEndpoint', ids));
    await until(one.line.call('releaseAddress', { poolId: network.ipv4!.poolId, address: '10.0.0.2' }));
    await until(one.engine.removeNetworkAs('web'));
    await until(one.line.call('deleteNetwork', { networkId: network.id }));
    await until(one.line.call('releaseAddress', { poolId: network.ipv4!.poolId, address: '10.0.0.2' }));
    await until(one.line.call('releasePool', { poolId: network.ipv4!.poolId }));
  });

  it('takes no address from the container that has it by now', async () => {
    await run(one, 'api', { web: { ip: '10.0.0.9' } });
    await until(one.engine.removeContainer('api'));
    await run(one, 'next', { web: { ip: '10.0.0.9' } });
    const { poolId } = [...one.engine.objects.values()][0]!.ipv4!;
    await until(one.line.call('releaseAddress', { poolId, address: '10.0.0.9' }));
    expect(addresses()).toEqual(['10.0.0.9']);
  });

  it('gives an address that is reserved for it again', async () => {
    const { poolId } = [...one.engine.objects.values()][0]!.ipv4!;
    const asked = { poolId, address: '10.0.0.9', gateway: false, endpointName: undefined, mac: undefined };
    expect(await until(one.line.call('requestAddress', asked))).toEqual({ address: '10.0.0.9/24' });
    expect(await until(one.line.call('requestAddress', asked))).toEqual({ address: '10.0.0.9/24' });
    await until(one.line.call('releaseAddress', { poolId, address: '10.0.0.9' }));
    expect(addresses()).toEqual([]);
  });
});

it('an address that was asked for is given back late, but not once an endpoint has it', async () => {
  await create('web');
  const [{ id: networkId, ipv4 }] = [...one.engine.objects.values()] as [NetworkObject];
  const asked = { poolId: ipv4!.poolId, gateway: false, endpointName: undefined, mac: undefined };
  for (const address of ['10.0.0.8', '10.0.0.9']) {
    await until(one.line.call('requestAddress', { ...asked, address }));
  }
  one.store.cut();
  while (one.running.releases.pending === 0) await pass(100);
  const of = { ipv6Address: undefined, mac: undefined, publishesPorts: false, dnsServers: [], options: {} };
  const ids = { networkId, endpointId: 'late' };
  await until(one.line.call('createEndpoint', { ...ids, ...of, address: '10.0.0.9/24' }));
  await pass(10_000);
  one.store.heal();
  await pass(10_000);
  expect(addresses()).toEqual(['10.0.0.9']);
  await until(one.line.call('deleteEndpoint', ids));
});

it('an address may be of a subnet that the network has got since it was asked for', async () => {
  const [, two] = hosts();
  await create('web', { subnets: ['10.9.0.0/30'] });
  const { txn } = one.store;
  one.store.txn = async (...claim) => {
    one.store.txn = txn;
    await two.running.endpoints.connect({ network: 'web', container: two.addContainer(), aliases: [] });
    await two.running.networks.addSubnet('web', { subnet: '10.9.1.0/24' });
    return await txn.call(one.store, ...claim);
  };
  const { poolId } = [...one.engine.objects.values()][0]!.ipv4!;
  const asked = { poolId, address: undefined, gateway: false, endpointName: undefined, mac: undefined };
  const { address } = await until(one.line.call('requestAddress', asked));
  expect(address).toMatch(/^10\.9\.1\.\d+\/24$/);
  await until(one.line.call('releaseAddress', { poolId, address: address.replace('/24', '') }));
  expect(addresses()).toEqual(['10.9.0.2']);
});

it('a network of neither family is refused for that', async () => {
  const call = { networkId: 'n', internal: false, ipv4: false, options: { net: 'web' }, pools: [], ipv6Pools: [] };
  await expect(until(one.line.call('createNetwork', call))).rejects.toThrow('add --ipv6, or leave --ipv4=false out');
});

it('an address goes by the name of its container at once, unless that is none in the DNS', async () => {
  await create('web');
  const { poolId } = [...one.engine.objects.values()][0]!.ipv4!;
  const asked = { poolId, gateway: false, mac: undefined };
  for (const [address, endpointName] of [
    ['10.0.0.8', 'api'],
    ['10.0.0.9', 'x'.repeat(64)],
  ] as const) {
    await until(one.line.call('requestAddress', { ...asked, address, endpointName }));
  }
  const [api, other] = claims();
  expect([api!.name, other!.name]).toEqual(['api', other!.id.slice(0, 12)]);
  for (const address of addresses()) await until(one.line.call('releaseAddress', { poolId, address }));
});

describe('overlayd network connect', () => {
  const connect = (container: string, overrides = {}) =>
    until(
      connectThroughEngine(one.running, one.engineSide!, { network: 'db', container, aliases: ['pg'], ...overrides }),
    );

  beforeEach(async () => {
    await create('web');
    await create('db');
    await run(one, 'api', { web: {} });
  });

  it('has the engine connect a container that runs', async () => {
    const { endpoint, warnings } = await connect('api', { ip: '10.0.1.50' });
    expect(endpoint).toMatchObject({ name: 'api', address: '10.0.1.50' });
    expect(warnings).toEqual([]);
    expect(claims().filter(({ name, aliases }) => name === 'api' && aliases.includes('pg'))).toHaveLength(1);
    await expect(connect('api')).rejects.toThrow('already exists in network db');
  });

  it('connects one that does not run for when it does', async () => {
    await until(one.engine.stopContainer('api'));
    const { endpoint, warnings } = await connect('api');
    expect(endpoint).toBeUndefined();
    expect(warnings).toEqual(['container api does not run: it joins db when it starts']);
    await until(one.engine.startContainer('api'));
    expect(addresses()).toHaveLength(2);
  });

  it('says what an engine does not do', async () => {
    await expect(connect('nope')).rejects.toThrow('has none of that name or id');
    await expect(connect('api', { name: 'x' })).rejects.toThrow('goes by its own name');
    await expect(connect('api', { ifname: 'x0' })).rejects.toThrow('names the interfaces');
    await expect(connect('api', { mac: '02:00:00:00:00:01' })).rejects.toThrow(
      'docker run --network NETWORK --mac-address MAC',
    );
  });

  it('disconnects what it connected', async () => {
    await connect('api');
    const { containers } = one.engineSide!;
    const network = one.running.networks.list().find(({ name }) => name === 'db')!;
    const endpoint = containers.find(network, 'api')!;
    await until(containers.disconnect(endpoint, false));
    expect(addresses()).toHaveLength(1);
    expect(containers.find(network, 'api')).toBeUndefined();
  });
});
