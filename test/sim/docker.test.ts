/** Docker engines and their agents, told as stories; `docker-chaos.test.ts` mixes them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withdrawAll } from '../../src/agent/engine/networks.ts';
import { DRIVER, NETWORK_OPTION } from '../../src/core/docker/engine.ts';
import { SERVICE_ADDRESS } from '../../src/core/host-state.ts';
import { decodeEndpoint } from '../../src/core/record-codec.ts';
import { connectThroughEngine } from '../../src/integrations/control/engine-container.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkEnginesQuiet } from './engine-invariants.ts';
import { placeOf } from './fake-engine.ts';
import type { NetworkSpec } from './fake-libnetwork.ts';
import { SimulatedCluster, type SimulatedHost, silent } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

const until = <T>(promise: Promise<T>, limitMs?: number) => cluster.clock.until(promise, limitMs);
const pass = (ms: number) => cluster.clock.advance(ms);

/** `docker network create -d overlayd --ipam-driver overlayd --ipam-opt net=NAME NAME`, but for what is given. */
const dockerNetwork = (name: string, overrides: Partial<NetworkSpec> = {}): NetworkSpec => ({
  ...{ name, driver: DRIVER, ipamDriver: DRIVER, internal: false, labels: {}, options: {} },
  ipamOptions: { [NETWORK_OPTION]: name },
  ...overrides,
});

const create = (name: string, overrides = {}) => until(one.running.networks.create(networkRequest(name, overrides)));
const run = (host: SimulatedHost, name: string, networks: Parameters<typeof host.engine.run>[1]['networks']) =>
  until(host.engine.run(name, { networks }));
const offered = ({ engine }: SimulatedHost) => [...engine.objects.values()].map(({ name }) => name).sort();
const claims = () =>
  cluster.etcd.entries('/overlayd/v1/endpoints/').flatMap(({ value }) => decodeEndpoint(value) ?? []);
const addresses = () => claims().map(({ address }) => address);
const routes = (host: SimulatedHost, container: { readonly pid: number }) =>
  host.kernel.machine.snapshot(placeOf(container))!.routes.map(({ destination }) => destination);

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1, engines: true });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
});

afterEach(async () => {
  await checkEnginesQuiet(cluster);
  await cluster.stop();
});

describe('networks', () => {
  it('of the cluster are on every engine, also on one that starts later', async () => {
    two.engine.kill();
    await create('web');
    await pass(1_000);
    expect(offered(one)).toEqual(['web']);
    expect(offered(two)).toEqual([]);
    void two.engine.start();
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
    await run(two, 'api', { web: {} });
  });

  it('that a person makes with one engine are made everywhere as that person said', async () => {
    const subnet = {
      cidr: '10.9.0.0/24',
      gateway: '10.9.0.7',
      ipRange: '10.9.0.128/25',
      auxAddresses: { nas: '10.9.0.130' },
    };
    const options = { mtu: '1300' };
    await until(one.engine.createNetworkAs(dockerNetwork('web', { subnet, options, internal: true })));
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
    expect(two.running.networks.list()).toMatchObject([{ name: 'web', internal: true, options, subnets: [subnet] }]);
    await run(two, 'api', { web: {} });
    expect(addresses()).toEqual(['10.9.0.128']);
  });

  it('without our IPAM driver, or without a name for the cluster, are refused and leave nothing', async () => {
    const refused = (spec: NetworkSpec) => expect(until(one.engine.createNetworkAs(spec))).rejects;
    await refused(dockerNetwork('web', { ipamDriver: undefined })).toThrow("needs overlayd's IPAM driver too");
    await refused(dockerNetwork('web', { ipamOptions: {} })).toThrow('--ipam-opt net=NAME is missing');
    await refused(dockerNetwork('web', { ipamOptions: { network: 'web' } })).toThrow('unknown --ipam-opt "network"');
    await refused(dockerNetwork('web', { options: { mtu: 'much' } })).toThrow('not a whole number');
    expect(cluster.etcd.entries('/overlayd/v1/networks/')).toEqual([]);
  });

  it('may have another name with one engine', async () => {
    await create('web');
    await pass(1_000);
    const { cidr } = one.running.networks.list()[0]!.subnets[0]!;
    const spec = { ipamOptions: { [NETWORK_OPTION]: 'web' }, subnet: { cidr } };
    await until(one.engine.createNetworkAs(dockerNetwork('alias', spec)));
    const { attachments } = await run(one, 'api', { alias: {} });
    await run(two, 'db', { web: {} });
    expect(addresses()).toEqual(['10.0.0.2', '10.0.0.3']);
    expect(attachments.get('alias')?.endpoint?.address).toBe('10.0.0.2/24');
    // Its removal is not the cluster's business.
    await until(one.engine.stopContainer('api'));
    await until(one.engine.removeNetworkAs('alias'));
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
  });

  it('that differ from what is there already are refused', async () => {
    await create('web', { subnets: ['10.9.0.0/24'] });
    const refused = (spec: Partial<NetworkSpec>) =>
      expect(until(one.engine.createNetworkAs(dockerNetwork('alias', { ...spec, ipamOptions: { net: 'web' } }))))
        .rejects;
    await refused({ subnet: { cidr: '10.8.0.0/24' } }).toThrow('has subnet 10.9.0.0/24, not 10.8.0.0/24');
    await refused({ subnet: { cidr: '10.9.0.0/24', ipRange: '10.9.0.0/28' } }).toThrow('has no --ip-range');
    await refused({ subnet: { cidr: '10.9.0.0/24', gateway: '10.9.0.9' } }).toThrow('has gateway 10.9.0.1');
    await refused({ subnet: { cidr: '10.9.0.0/24' }, internal: true }).toThrow('is not --internal');
    await refused({ subnet: { cidr: '10.9.0.0/24' }, options: { mtu: '1300' } }).toThrow('mtu=(unset)');
    await pass(1_000);
    expect(offered(one)).toEqual(['web']);
  });

  it('that a person removes from one engine are removed everywhere', async () => {
    await create('web');
    await pass(1_000);
    await until(two.engine.removeNetworkAs('web'));
    await pass(1_000);
    expect([offered(one), offered(two)]).toEqual([[], []]);
    expect(cluster.etcd.entries('/overlayd/v1/networks/')).toEqual([]);
  });

  it('come back when they are removed while another host uses them', async () => {
    await create('web');
    await pass(1_000);
    await run(one, 'api', { web: {} });
    await until(two.engine.removeNetworkAs('web'));
    expect(offered(two)).toEqual([]);
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
  });

  it('come back when they are removed while the agent is not there to refuse it', async () => {
    await create('web');
    await pass(1_000);
    await two.crash();
    await until(two.engine.removeNetworkAs('web'));
    await two.start();
    await pass(90_000);
    expect(offered(two)).toEqual(['web']);
  });

  it('whose name the engine has given away are told of, and offered once it is free', async () => {
    await until(one.engine.createNetworkAs(dockerNetwork('web', { driver: 'bridge', ipamDriver: undefined })));
    await create('web');
    await pass(1_000);
    expect((await one.engineSide!.status())?.problems).toEqual([
      "Docker has another network named web (driver bridge): containers cannot join overlayd's by that name; remove or rename that one",
    ]);
    await until(one.engine.removeNetworkAs('web'));
    await pass(1_000);
    expect((await one.engineSide!.status())?.problems).toEqual([]);
    expect([...one.engine.objects.values()]).toMatchObject([{ name: 'web', driver: DRIVER }]);
  });

  it('whose making the engine did not survive are offered again', async () => {
    const held = one.line.hold('createNetwork');
    const created = until(one.running.networks.create(networkRequest('web')));
    await until(held.reached);
    held.release();
    await created;
    await pass(2);
    one.engine.kill();
    void one.engine.start();
    await pass(120_000);
    expect(offered(one)).toEqual(['web']);
  });

  it('go from the engine of a host that leaves, and stay in the cluster', async () => {
    await create('web');
    await pass(1_000);
    two.leaving = true;
    await until(withdrawAll(two.engine, silent));
    expect(offered(two)).toEqual([]);
    await pass(1_000);
    expect(offered(one)).toEqual(['web']);
    two.leaving = false;
    await pass(120_000);
  });
});

describe('names of containers', () => {
  const names = () => claims().map(({ name, aliases }) => [name, ...aliases]);

  it('are what the engine calls them, and their aliases', async () => {
    await create('web');
    await pass(1_000);
    const networks = { web: { aliases: ['db', 'DB', 'not valid', 'a.b'] } };
    const { id } = await until(one.engine.run('shop_db', { networks, hostname: 'pg' }));
    await pass(1_000);
    expect(names()).toEqual([['shop_db', 'DB', 'a.b', id.slice(0, 12), 'pg']]);
    expect(two.running.view.endpoint(claims()[0]!.id)?.name).toBe('shop_db');
  });

  it('follow a rename, also one that happens while the agent is away', async () => {
    await create('web');
    await pass(1_000);
    const { id } = await run(one, 'api', { web: {} });
    await until(one.engine.renameContainer('api', 'shop'));
    await pass(1_000);
    expect(names()).toEqual([['shop', id.slice(0, 12)]]);
    await one.crash();
    await until(one.engine.renameContainer('shop', 'store'));
    await one.start();
    await pass(2_000);
    expect(names()).toEqual([['store', id.slice(0, 12)]]);
  });

  it('are learnt once etcd can keep them', async () => {
    await create('web');
    await pass(1_000);
    await run(one, 'api', { web: {} });
    one.store.cut();
    await until(one.engine.renameContainer('api', 'shop'));
    await pass(20_000);
    one.store.heal();
    await pass(10_000);
    expect(names()[0]?.[0]).toBe('shop');
  });
});

describe('addresses', () => {
  beforeEach(async () => {
    await create('web');
    await pass(1_000);
  });

  it('are those that were asked for, or refused with who has them', async () => {
    await run(one, 'api', { web: { ip: '10.0.0.77' } });
    await pass(1_000);
    await expect(run(two, 'db', { web: { ip: '10.0.0.77' } })).rejects.toThrow(
      'address already in use: 10.0.0.77 belongs to api on h1',
    );
    expect(addresses()).toEqual(['10.0.0.77']);
  });

  it('are with the MAC that was asked for', async () => {
    await run(one, 'api', { web: { mac: '02:42:aa:bb:cc:dd' } });
    expect(claims()[0]?.mac).toBe('02:42:aa:bb:cc:dd');
    await expect(run(one, 'db', { web: { mac: '02:42:aa:bb:cc:dd' } })).rejects.toThrow('02:42:aa:bb:cc:dd');
    await pass(1_000);
    expect(addresses()).toEqual(['10.0.0.2']);
  });

  it('are new after a restart, and the old ones are released', async () => {
    const { id } = await run(one, 'api', { web: {} });
    await until(one.engine.stopContainer('api'));
    expect(addresses()).toEqual([]);
    await until(one.engine.startContainer(id));
    expect(addresses()).toEqual(['10.0.0.3']);
  });

  it('that no endpoint came for are released', async () => {
    const held = one.line.hold('createEndpoint');
    void one.engine.run('api', { networks: { web: {} } }).catch(() => undefined);
    await until(held.reached);
    expect(addresses()).toEqual(['10.0.0.2']);
    one.engine.kill();
    await pass(120_000);
    expect(addresses()).toEqual([]);
    void one.engine.start();
  });

  it.each([0, 150, 5_000])(
    'given before a restart of the agent are good for the endpoint that comes %i ms after it',
    async (ms) => {
      const held = one.line.hold('createEndpoint');
      const running = one.engine.run('api', { networks: { web: {} } });
      await until(held.reached);
      await one.crash();
      await pass(1_000);
      await one.start();
      await pass(ms);
      held.release();
      const { attachments } = await until(running);
      expect(attachments.get('web')?.endpoint?.address).toBe('10.0.0.2/24');
    },
  );

  it('of networks that nobody may attach to are not given', async () => {
    await create('closed', { attachable: false });
    await pass(1_000);
    await expect(run(one, 'api', { closed: {} })).rejects.toThrow('not manually attachable');
  });
});

describe('containers', () => {
  beforeEach(async () => {
    await create('web');
    await create('db');
    await pass(1_000);
  });

  it('have a way to the service address in whichever network is left to them', async () => {
    const container = await run(one, 'api', { web: {}, db: {} });
    expect(routes(one, container)).toEqual([`${SERVICE_ADDRESS}/32`, 'default', '169.254.53.52/31']);
    await until(one.engine.disconnectAs('web', 'api'));
    expect(routes(one, container)).toEqual(['169.254.53.52/31']);
    await until(one.engine.connectAs('web', 'api'));
    expect(routes(one, container)).toContain(`${SERVICE_ADDRESS}/32`);
  });

  it('that publish ports leave the way out to the engine', async () => {
    const container = await until(one.engine.run('api', { networks: { web: {} }, publishesPorts: true }));
    expect(routes(one, container)).toEqual([`${SERVICE_ADDRESS}/32`]);
  });

  it('keep their endpoints while the agent is away, and while it comes back', async () => {
    await run(one, 'api', { web: {}, db: {} });
    await run(two, 'peer', { web: {} });
    await pass(5_000);
    await one.crash();
    const { writes } = one.kernel;
    await pass(20_000);
    await one.start();
    await pass(30_000);
    expect(one.kernel.writes).toBe(writes);
  });

  it('that end while the agent is away are released when it is back', async () => {
    await run(one, 'api', { web: {} });
    await run(one, 'gone', { web: {} });
    await pass(1_000);
    await one.crash();
    one.engine.crashContainer('api');
    await until(one.engine.removeContainer('gone'));
    await pass(60_000);
    expect(addresses()).toHaveLength(2);
    await one.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('that end while agent and engine are away are released when both are back', async () => {
    await run(one, 'api', { web: {} });
    await pass(1_000);
    one.engine.kill();
    await one.crash();
    one.engine.crashContainer('api');
    void one.engine.start();
    await pass(60_000);
    await one.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('go on while their engine is dead, and are released by what the next one finds', async () => {
    await run(one, 'api', { web: {} });
    await run(one, 'job', { web: {}, db: {} });
    await pass(1_000);
    one.engine.kill();
    await pass(60_000);
    expect(addresses()).toHaveLength(3);
    void one.engine.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('whose making the engine did not survive leave nothing', async () => {
    const held = one.line.hold('join');
    void one.engine.run('api', { networks: { web: {} } }).catch(() => undefined);
    await until(held.reached);
    one.engine.kill();
    void one.engine.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('whose endpoint was still being made when the engine died leave nothing', async () => {
    const held = one.line.hold('createEndpoint');
    void one.engine.run('api', { networks: { web: { mac: '02:42:aa:bb:cc:dd' } } }).catch(() => undefined);
    await until(held.reached);
    held.release();
    // The MAC has to be written to etcd first, which does not answer at once.
    one.store.loseReplies();
    await pass(1_000);
    one.engine.kill();
    void one.engine.start();
    await pass(200_000);
    expect(addresses()).toEqual([]);
  });

  it('start on a host that comes up before etcd does', async () => {
    const { id } = await run(one, 'api', { web: {} });
    await one.reboot();
    one.store.cut();
    await one.start();
    void one.engine.start();
    await pass(1_000);
    const started = one.engine.startContainer(id);
    await pass(6_000);
    one.store.heal();
    await until(started);
    await pass(5_000);
    expect(addresses()).toEqual(['10.0.0.3']);
  });

  it('are refused in time when etcd stays away', async () => {
    one.store.cut();
    const before = cluster.clock.now();
    await expect(run(one, 'api', { web: {} })).rejects.toThrow('etcd does not answer');
    expect(cluster.clock.now() - before).toBeLessThan(14_000);
    one.store.heal();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('are released when their host lost power', async () => {
    await run(one, 'api', { web: {} });
    await one.reboot();
    await one.start();
    void one.engine.start();
    await pass(10_000);
    expect(addresses()).toEqual([]);
  });

  it('get their link anew when somebody deletes its port', async () => {
    const container = await run(one, 'api', { web: {} });
    await pass(1_000);
    const [port] = [...one.kernel.machine.snapshot('ovl-4096')!.links.keys()].filter((name) => name.startsWith('e'));
    one.kernel.interfere({ kind: 'delete-link', at: 'ovl-4096', name: port! });
    expect(routes(one, container)).toEqual([]);
    await pass(1_000);
    expect(routes(one, container)).toContain(`${SERVICE_ADDRESS}/32`);
  });
});

describe('a call that comes twice', () => {
  beforeEach(async () => {
    await create('web');
    await pass(1_000);
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
    const pools = [{ addressSpace: 'overlayd-local', pool: network.pool, gateway: network.gateway, auxAddresses: {} }];
    const made = { networkId: network.id, internal: false, options: {}, pools, ipv6Pools: [] };
    await until(one.line.call('createNetwork', made));
    expect(claims()).toEqual(before);
    expect(offered(one)).toEqual(['web']);
  });

  it('has nothing left to do when everything is gone', async () => {
    const { attachments } = await run(one, 'api', { web: {} });
    const { id: endpointId, network } = attachments.get('web')!.endpoint!;
    await until(one.engine.removeContainer('api'));
    const ids = { networkId: network.id, endpointId };
    await until(one.line.call('leave', ids));
    await until(one.line.call('deleteEndpoint', ids));
    await until(one.line.call('releaseAddress', { poolId: network.poolId, address: '10.0.0.2' }));
    await until(one.engine.removeNetworkAs('web'));
    await until(one.line.call('deleteNetwork', { networkId: network.id }));
    await until(one.line.call('releaseAddress', { poolId: network.poolId, address: '10.0.0.2' }));
    await until(one.line.call('releasePool', { poolId: network.poolId }));
  });

  it('gives an address that is reserved for it again', async () => {
    const { poolId } = [...one.engine.objects.values()][0]!;
    const asked = { poolId, address: '10.0.0.9', gateway: false, endpointName: undefined, mac: undefined };
    expect(await until(one.line.call('requestAddress', asked))).toEqual({ address: '10.0.0.9/24' });
    expect(await until(one.line.call('requestAddress', asked))).toEqual({ address: '10.0.0.9/24' });
    await until(one.line.call('releaseAddress', { poolId, address: '10.0.0.9' }));
    expect(addresses()).toEqual([]);
  });
});

describe('overlayd network connect', () => {
  const connect = (container: string, overrides = {}) =>
    until(
      connectThroughEngine(one.running, one.engineSide!, { network: 'db', container, aliases: ['pg'], ...overrides }),
    );

  beforeEach(async () => {
    await create('web');
    await create('db');
    await pass(1_000);
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
