/** Services: made on one host, answered and spread on all, whoever makes them at once; no address is lost, nobody dead is asked. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addStaticNames } from '../../src/agent/names/static-names.ts';
import { createService, listServices, removeService, type ServicesDeps } from '../../src/agent/services/services.ts';
import { namespaceOf } from '../../src/core/plan/naming.ts';
import { firstAddress, keys } from '../../src/core/records.ts';
import { serviceClaims } from '../../src/core/service.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { question, read } from '../unit/core/dns/messages.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const OPTIONS = { quarantineSeconds: 60 };

let cluster: SimulatedCluster;
let hosts: [SimulatedHost, SimulatedHost, SimulatedHost];
let webId: string;
let namespace: string;
/** Of each host's container. */
const addresses = new Map<SimulatedHost, string>();

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const pass = (ms: number) => cluster.clock.advance(ms);

beforeEach(async () => {
  addresses.clear();
  cluster = new SimulatedCluster({ seed: 5 });
  await cluster.start(3);
  hosts = cluster.hosts as typeof hosts;
  const web = await until(hosts[0].running.networks.create(networkRequest('web')));
  webId = web.id;
  namespace = namespaceOf(web.vni);
  await pass(1_000);
  for (const host of hosts) {
    const request = { network: 'web', container: host.addContainer(), name: `on-${host.record.id}`, aliases: ['pool'] };
    const { endpoint } = await until(host.running.endpoints.connect(request));
    addresses.set(host, firstAddress(endpoint.record));
  }
  await pass(3_000);
});

afterEach(() => cluster.stop());

function deps(host: SimulatedHost): ServicesDeps {
  const { claims, commit, networks, reconciler, view } = host.running;
  const ignore = () => undefined;
  return {
    ...{ claims, commit, networks, view, store: host.store, selfId: host.record.id },
    liveness: (nodeId) => host.running.liveness(nodeId),
    converge: (networkId) => reconciler.converge(networkId),
    clock: { now: () => 1 },
    random: { hex: () => host.record.id.padEnd(64, '0').slice(0, 64), next: () => 0.5 },
    logger: { info: ignore },
  };
}

const create = (host: SimulatedHost, alias = 'pool', ip?: string) =>
  createService(deps(host), { network: 'web', alias, ip });

/** Nobody is on the network any more. */
async function desert(): Promise<void> {
  for (const host of hosts) {
    await until(host.running.endpoints.drop(host.running.local.all(), 'a test'));
    await pass(500);
  }
  await pass(1_000);
}

/** What its container is answered: the code and the data. */
async function ask(host: SimulatedHost, name: string) {
  const client = { networkId: webId, address: addresses.get(host)!, transport: 'udp' } as const;
  const reply = host.names.handler(question(name, 'A'), client);
  const { rcode, answers } = read(await until(Promise.resolve(reply)));
  return [rcode, ...answers!.map((each) => ('data' in each ? String(each.data) : '')).sort()];
}

/** To whom the kernel of that host sends, and of which addresses. */
function spread(host: SimulatedHost): { readonly services: string[]; readonly backends: string[] } {
  const sets = host.kernel.machine.snapshot(namespace)?.services?.sets ?? [];
  const of = (name: string) => [...(sets.find((set) => set.name === name)?.elements ?? [])].sort();
  return { services: of('services'), backends: of('backends') };
}

const all = () => [...addresses.values()].sort();

describe('a service', () => {
  it('is answered on every host instead of those that go by its name, who are listed as its tasks; a restart loses nothing', async () => {
    const { service } = await until(create(hosts[0]));
    const { ip } = service.addresses[0]!;
    expect(all()).not.toContain(ip);
    await pass(100);
    for (const host of hosts) {
      expect(await ask(host, 'pool')).toEqual(['NOERROR', ip]);
      expect(await ask(host, 'POOL.web.overlayd.internal')).toEqual(['NOERROR', ip]);
      expect(await ask(host, 'tasks.pool')).toEqual(['NOERROR', ...all()]);
      expect(spread(host)).toEqual({ services: [ip], backends: all() });
    }
    await hosts[1].stop();
    expect(await ask(hosts[1], 'pool')).toEqual(['NOERROR', ip]);
    await until(hosts[1].start());
    await pass(3_000);
    expect(await ask(hosts[1], 'pool')).toEqual(['NOERROR', ip]);
    expect(spread(hosts[1])).toEqual({ services: [ip], backends: all() });
  });

  it('sends nothing to a host that is not heard, until it is, nor to who has gone', async () => {
    await until(create(hosts[0]));
    await pass(100);
    await hosts[2].crash();
    await pass(30_000);
    const others = [addresses.get(hosts[0])!, addresses.get(hosts[1])!].sort();
    for (const host of [hosts[0], hosts[1]]) expect(spread(host).backends).toEqual(others);
    await until(hosts[2].start());
    await pass(30_000);
    for (const host of hosts) expect(spread(host).backends).toEqual(all());
    const [endpoint] = hosts[1].running.local.all();
    await until(hosts[1].running.endpoints.drop([endpoint!], 'a test'));
    await pass(3_000);
    const left = [addresses.get(hosts[0])!, addresses.get(hosts[2])!].sort();
    for (const host of [hosts[0], hosts[2]]) expect(spread(host).backends).toEqual(left);
  });

  it('goes on with a host whose agent restarts, and says so', async () => {
    await until(create(hosts[0]));
    await hosts[2].stop();
    await pass(20_000);
    for (const host of [hosts[0], hosts[1]]) {
      expect(spread(host).backends).toEqual(all());
      const [listed] = await until(listServices(deps(host), 'web'));
      expect(listed!.backends.map(({ out }) => out)).toEqual([undefined, undefined, undefined]);
    }
  });

  it('is made once, whoever makes it at the same moment, and two of them never have one address', async () => {
    const same = await until(Promise.allSettled(hosts.map((host) => create(host))));
    expect(same.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const made = await until(Promise.all(hosts.map((host) => create(host, `other-${host.record.id}`))));
    await pass(1_000);
    const ips = made.flatMap(({ service }) => service.addresses.map(({ ip }) => ip));
    expect(new Set(ips).size).toBe(3);
    for (const host of hosts) expect(spread(host).services).toHaveLength(4);
  });

  it('is not there where the kernel refuses it, and is made by who tries again', async () => {
    const refused = new Error('the kernel refuses');
    const failing = { ...deps(hosts[0]), converge: () => Promise.reject(refused) };
    const request = { network: 'web', alias: 'pool', ip: '10.0.0.77' };
    await expect(until(createService(failing, request))).rejects.toBe(refused);
    await pass(1_000);
    expect(cluster.etcd.entries(keys.services(webId))).toEqual([]);
    const { service } = await until(createService(deps(hosts[0]), request));
    expect(service.addresses.map(({ ip }) => ip)).toEqual(['10.0.0.77']);
  });

  it('has its name alone: nobody gives it to anything else', async () => {
    await until(create(hosts[0], 'nobody-yet'));
    await pass(100);
    const { commit, networks, view } = hosts[1].running;
    const added = addStaticNames({ store: hosts[1].store, commit, networks, view }, 'web', {
      ...{ name: 'nobody-yet', type: 'A', values: ['192.0.2.9'] },
    });
    await expect(until(added)).rejects.toThrow(/nobody-yet is a service of network web, .*service rm web nobody-yet/);
  });

  it('keeps its address from containers, and gives it back', async () => {
    const { service } = await until(create(hosts[0], 'pool', '10.0.0.77'));
    const { ip } = service.addresses[0]!;
    expect(ip).toBe('10.0.0.77');
    await pass(100);
    const connect = () =>
      until(
        hosts[1].running.endpoints.connect({ network: 'web', container: hosts[1].addContainer(), aliases: [], ip }),
      );
    await expect(connect()).rejects.toThrow('10.0.0.77 belongs to a service');
    await until(removeService(deps(hosts[2]), { network: 'web', alias: 'Pool' }, OPTIONS));
    await pass(1_000);
    for (const host of hosts) {
      expect(await ask(host, 'pool')).toEqual(['NOERROR', ...all()]);
      expect(spread(host)).toEqual({ services: [], backends: [] });
    }
    expect(cluster.etcd.entries(keys.services(webId))).toEqual([]);
    expect(cluster.etcd.entries(keys.address(webId, ip))).toEqual([]);
    await connect();
  });

  it('keeps its network where what it holds is not known, which is said', async () => {
    await until(create(hosts[0]));
    await desert();
    const put = (key: string, value: object) =>
      cluster.etcd.txn([], [{ kind: 'put', key, value: JSON.stringify(value) }]);
    const remove = () => until(hosts[1].running.networks.remove('web', new AbortController().signal));
    put(keys.address(webId, '10.0.0.99'), { endpointId: 'f'.repeat(64), nodeId: '' });
    await pass(1_000);
    await expect(remove()).rejects.toThrow(/has addresses of services: 10\.0\.0\.99; .*ipam repair --network web/);
    expect(cluster.etcd.entries(keys.services(webId))).toHaveLength(1);
    put(keys.services(webId), { networkId: webId, services: 'of a later version' });
    await pass(1_000);
    await expect(remove()).rejects.toThrow(/network web cannot be removed here/);
  });

  it('goes with its network, however many it has, in one transaction; a network that somebody connects to at that moment keeps all', async () => {
    const services = Array.from({ length: 150 }, (_, nth) => ({
      ...{ id: `${nth}`.padEnd(64, '0'), name: `pool-${nth}`, createdAt: 1 },
      addresses: [{ subnet: '10.0.0.0/24', ip: `10.0.0.${nth + 50}` }],
    }));
    const put = (key: string, record: object) => ({ kind: 'put', key, value: JSON.stringify(record) }) as const;
    const claims = services
      .flatMap((service) => serviceClaims(webId, service))
      .map(({ key, record }) => put(key, record));
    cluster.etcd.txn([], claims.slice(0, 100));
    cluster.etcd.txn([], [put(keys.services(webId), { networkId: webId, services }), ...claims.slice(100)]);
    await desert();
    const remove = () => hosts[1].running.networks.remove('web', new AbortController().signal);
    const connect = () =>
      hosts[0].running.endpoints.connect({ network: 'web', container: hosts[0].addContainer(), aliases: [] });
    const [removed, connected] = await until(Promise.allSettled([remove(), connect()]));
    expect([removed, connected].filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    if (connected.status === 'fulfilled') {
      expect(JSON.parse(cluster.etcd.entries(keys.services(webId))[0]!.value).services).toHaveLength(150);
      expect(cluster.etcd.entries(keys.addressesOn(webId))).toHaveLength(151);
      await desert();
      await until(remove());
    }
    await pass(5_000);
    expect(cluster.etcd.entries(keys.services(webId))).toEqual([]);
    expect(cluster.etcd.entries(keys.addressesOn(webId))).toEqual([]);
  });

  it('goes with its network, with its address', async () => {
    await until(create(hosts[0]));
    await desert();
    await until(hosts[1].running.networks.remove('web', new AbortController().signal));
    await pass(5_000);
    expect(cluster.etcd.entries(keys.services(webId))).toEqual([]);
    expect(cluster.etcd.entries(keys.addressesOn(webId))).toEqual([]);
  });
});
