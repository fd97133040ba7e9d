/** Networks whose aliases have service addresses by themselves: made once whoever comes first, kept over restarts, gone after the last. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeService } from '../../src/agent/services/services.ts';
import { keys } from '../../src/core/records.ts';
import type { ServicesRecord } from '../../src/core/service-records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let hosts: [SimulatedHost, SimulatedHost, SimulatedHost];
let webId: string;

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const pass = (ms: number) => cluster.clock.advance(ms);

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 7 });
  await cluster.start(3);
  hosts = cluster.hosts as typeof hosts;
  const web = await until(hosts[0].running.networks.create(networkRequest('web', { options: { vip: 'true' } })));
  webId = web.id;
  await pass(1_000);
});

afterEach(() => cluster.stop());

const connect = (host: SimulatedHost, name: string, ...aliases: string[]) =>
  host.running.endpoints.connect({ network: 'web', container: host.addContainer(), name, aliases });
const leave = (host: SimulatedHost) => until(host.running.endpoints.drop(host.running.local.all(), 'a test'));
/** As `alias address`. */
function services(): string[] {
  const [entry] = cluster.etcd.entries(keys.services(webId));
  const record: ServicesRecord | undefined = entry && JSON.parse(entry.value);
  return (record?.services ?? []).map(({ name, addresses }) => `${name} ${addresses.map(({ ip }) => ip)}`);
}
const claimsOfServices = () =>
  cluster.etcd.entries(keys.addressesOn(webId)).filter(({ value }) => JSON.parse(value).nodeId === '').length;

it('is there for each alias, once though its containers come at the same moment on all hosts', async () => {
  await until(Promise.all(hosts.map((host, nth) => connect(host, `api-${nth}`, 'api', 'Web'))));
  await pass(1_000);
  const made = services();
  expect(made.map((each) => each.split(' ')[0])).toEqual(['api', 'web']);
  expect(claimsOfServices()).toBe(2);
  await leave(hosts[0]);
  await hosts[1].crash();
  await until(hosts[1].start());
  await pass(30_000);
  expect(services()).toEqual(made);
});

it('goes a while after its last container, with its address; one that comes before finds it', async () => {
  await until(connect(hosts[1], 'api-1', 'api'));
  await pass(1_000);
  const made = services();
  expect(made).toHaveLength(1);
  await leave(hosts[1]);
  await pass(5_000);
  await until(connect(hosts[2], 'api-2', 'api'));
  await pass(30_000);
  expect(services()).toEqual(made);
  await leave(hosts[2]);
  await pass(8_000);
  expect(services()).toEqual(made);
  await pass(20_000);
  expect(services()).toEqual([]);
  expect(claimsOfServices()).toBe(0);
  await until(hosts[0].running.networks.remove('web', new AbortController().signal));
});

it('stays while the host of its last container is not heard', async () => {
  await until(connect(hosts[2], 'api', 'pool'));
  await pass(1_000);
  await hosts[2].crash();
  await pass(60_000);
  expect(services()).toHaveLength(1);
});

it('goes also where the host whose turn it would be is not heard', async () => {
  await until(connect(hosts[2], 'api', 'pool'));
  await hosts[0].crash();
  await pass(30_000);
  expect(services()).toHaveLength(1);
  await leave(hosts[2]);
  await pass(30_000);
  expect(services()).toEqual([]);
});

it('is removed by nobody', async () => {
  await until(connect(hosts[0], 'api', 'pool'));
  await pass(1_000);
  const { claims, commit, networks, view } = hosts[0].running;
  const deps = {
    ...{ claims, commit, networks, view, store: hosts[0].store, selfId: hosts[0].record.id },
    liveness: () => 'ready' as const,
    ...{ converge: async () => undefined, clock: { now: () => 1 }, random: { hex: () => '', next: () => 0 } },
    logger: { info: () => undefined },
  };
  const remove = until(removeService(deps, { network: 'web', alias: 'pool' }, { quarantineSeconds: 60 }));
  await expect(remove).rejects.toThrow(/made with -o vip=true, and goes after its last container/);
  expect(services()).toHaveLength(1);
});
