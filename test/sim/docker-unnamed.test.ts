/**
 * Networks that an engine is asked for without saying to the IPAM driver which one, as Compose v2 does: it passes driver
 * options on, and IPAM options not.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { NETWORK_OPTION } from '../../src/core/engine/engine.ts';
import { isPlaceholder } from '../../src/core/engine/placeholder.ts';
import { dockerNetwork, useEngines } from './engine-story.ts';
import type { NetworkSpec } from './fake-libnetwork.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { hosts, until, pass, create, run, stored, addresses, routes, offered } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(() => {
  [one, two] = hosts();
});

/** As of a file with `driver_opts: {net: jobs}`, `ipam: {driver: overlayd}`. */
const file = (name: string, overrides: Partial<NetworkSpec> = {}) =>
  dockerNetwork(name, { ipamOptions: {}, options: { [NETWORK_OPTION]: 'jobs' }, ...overrides });
const SUBNET = { subnet: { cidr: '10.9.0.0/24' } };
const objectOf = (host: SimulatedHost, name: string) =>
  [...host.engine.objects.values()].find((each) => each.name === name)!;

describe.each([
  ['without a subnet', {}],
  ['with a subnet', SUBNET],
])("a project's network %s", (_, overrides) => {
  it('is the same one on every host', async () => {
    await until(one.engine.createNetworkAs(file('shop_jobs', overrides)));
    await until(two.engine.createNetworkAs(file('shop_jobs', overrides)));
    await pass(1_000);
    expect(stored('networks')).toHaveLength(1);
    expect(offered(one)).toEqual(['jobs', 'shop_jobs']);
    expect(offered(two)).toEqual(['jobs', 'shop_jobs']);
    const api = await run(one, 'api', { shop_jobs: {} });
    await run(two, 'db', { shop_jobs: {} });
    await run(two, 'plain', { jobs: {} });
    const base = 'subnet' in overrides ? '10.9.0' : '10.0.0';
    expect(addresses()).toEqual([2, 3, 4].map((last) => `${base}.${last}`));
    expect(routes(one, api)).toContain('default');
  });

  it('is one, though two hosts make it at the same moment', async () => {
    const both = [one, two].map(({ engine }) => engine.createNetworkAs(file('shop_jobs', overrides)));
    await until(Promise.all(both));
    await pass(1_000);
    expect(stored('networks')).toHaveLength(1);
    await run(one, 'api', { shop_jobs: {} });
    await run(two, 'db', { shop_jobs: {} });
    expect(addresses()).toHaveLength(2);
  });

  it('is one, though two projects of one host make it at the same moment', async () => {
    const both = ['shop_jobs', 'mail_jobs'].map((name) => one.engine.createNetworkAs(file(name, overrides)));
    await until(Promise.all(both));
    await pass(1_000);
    expect(stored('networks')).toHaveLength(1);
    await run(one, 'api', { shop_jobs: {} });
    await run(one, 'db', { mail_jobs: {} });
    expect(addresses()).toHaveLength(2);
  });

  it('can be made again and again, also while another host uses it', async () => {
    await until(two.engine.createNetworkAs(file('shop_jobs', overrides)));
    await run(two, 'db', { shop_jobs: {} });
    for (let i = 0; i < 3; i++) {
      await until(one.engine.createNetworkAs(file('shop_jobs', overrides)));
      await run(one, 'api', { shop_jobs: {} });
      await pass(1_000);
      expect(addresses()).toHaveLength(2);
      await until(one.engine.removeContainer('api'));
      await until(one.engine.removeNetworkAs('shop_jobs'));
      await pass(1_000);
      expect(offered(one)).toEqual(['jobs']);
    }
    await until(two.engine.removeContainer('db'));
    await until(two.engine.removeNetworkAs('shop_jobs'));
    await pass(1_000);
    expect(stored('networks')).toEqual([]);
  });

  it('is known after a restart of the agent, and by one that has lost what it knew', async () => {
    await until(one.engine.createNetworkAs(file('shop_jobs', overrides)));
    await one.crash();
    await one.start();
    await run(one, 'api', { shop_jobs: {} });
    await one.crash();
    one.loseEngineMemory();
    await one.start();
    await pass(1_000);
    await run(one, 'db', { shop_jobs: {} });
    expect(addresses()).toHaveLength(2);
  });

  it('has its containers back when the host boots while etcd is away', async () => {
    await until(one.engine.createNetworkAs(file('shop_jobs', overrides)));
    await until(one.engine.run('api', { networks: { shop_jobs: {} }, restarts: true }));
    await pass(1_000);
    const before = addresses();
    await one.reboot();
    one.store.cut();
    await one.start();
    void one.engine.start();
    await pass(60_000);
    const { endpoint } = one.engine.disk.require('api').attachments.get('shop_jobs')!;
    expect(endpoint?.address).toBe(`${before[0]}/24`);
    one.store.heal();
    await pass(20_000);
    expect(addresses()).toEqual(before);
  });

  it('has to say which one it is, and leaves nothing when it does not', async () => {
    const made = until(one.engine.createNetworkAs(file('shop_jobs', { ...overrides, options: {} })));
    await expect(made).rejects.toThrow('in Compose, driver_opts: {net: NAME}');
    expect(stored('networks')).toEqual([]);
    expect(offered(one)).toEqual([]);
  });
});

it('a network of that name that differs is not taken for it', async () => {
  await create('jobs', { subnets: ['10.9.0.0/24'] });
  const refused = (spec: Partial<NetworkSpec>) => expect(until(one.engine.createNetworkAs(file('x', spec)))).rejects;
  await refused({ subnet: { cidr: '10.8.0.0/24' } }).toThrow(
    'network jobs is there already and has subnet 10.9.0.0/24',
  );
  await refused({ internal: true }).toThrow('is not --internal');
  await refused({ options: { net: 'jobs', mtu: '1300' } }).toThrow('mtu=(unset)');
  await refused({ ...SUBNET, options: { net: 'web' } }).toThrow(
    'network jobs is there already with subnet 10.9.0.0/24',
  );
  await refused({ options: { net: 'not valid' } }).toThrow('is not valid');
  await pass(120_000);
  expect(offered(one)).toEqual(['jobs']);
});

it('a network that is in use on the host can have another name without its subnet', async () => {
  await create('jobs');
  await run(one, 'api', { jobs: {} });
  const spec = dockerNetwork('alias', { ipamOptions: { [NETWORK_OPTION]: 'jobs' } });
  await until(one.engine.createNetworkAs(spec));
  await run(one, 'db', { alias: {} });
  expect(addresses()).toEqual(['10.0.0.2', '10.0.0.3']);
  expect(isPlaceholder(objectOf(one, 'alias').ipv4!.pool)).toBe(true);
});

it('projects of one host have a placeholder each', async () => {
  await until(one.engine.createNetworkAs(file('shop_jobs')));
  await until(one.engine.createNetworkAs(file('shop_web', { options: { [NETWORK_OPTION]: 'web' } })));
  await run(one, 'api', { shop_jobs: {} });
  await run(one, 'db', { shop_web: {} });
  expect(objectOf(one, 'shop_jobs').ipv4!.pool).not.toBe(objectOf(one, 'shop_web').ipv4!.pool);
  expect(addresses().sort()).toEqual(['10.0.0.2', '10.0.1.2']);
});

it('an engine that takes no placeholder is told so in the end, and others get one when it gave them back', async () => {
  const asked = { addressSpace: 'overlayd-local', pool: undefined, subPool: undefined, options: {}, ipv6: false };
  const taken: string[] = [];
  for (let i = 0; i < 64; i++) taken.push((await until(one.line.call('requestPool', asked))).poolId);
  expect(new Set(taken).size).toBe(64);
  await expect(until(one.line.call('requestPool', asked))).rejects.toThrow('a route to all of 240.0.0.0/4');
  for (const poolId of taken) await until(one.line.call('releasePool', { poolId }));
  await until(one.engine.createNetworkAs(file('shop_jobs')));
});

describe('a network of another driver on our addresses', () => {
  const bridge = (overrides: Partial<NetworkSpec>) => dockerNetwork('br', { driver: 'bridge', ...overrides });
  const problem = "Docker's network br (driver bridge) takes its subnet from overlayd";

  it.each([
    ['that names nothing', { ipamOptions: {} }],
    ['that names a new network', { ipamOptions: { net: 'new' } }],
    ['that names a network that is there', { ipamOptions: { net: 'jobs' } }],
    ['with the subnet of one that is there', { ipamOptions: {}, subnet: { cidr: '10.9.0.0/24' } }],
  ])('%s gets none, and is told of', async (_, spec) => {
    await create('jobs', { subnets: ['10.9.0.0/24'] });
    await until(one.engine.createNetworkAs(bridge(spec)));
    await pass(1_000);
    await expect(run(one, 'api', { br: {} })).rejects.toThrow('driver overlayd');
    expect(addresses()).toEqual([]);
    expect((await one.engineSide!.status())?.problems).toEqual([expect.stringContaining(problem)]);
    await until(one.engine.removeContainer('api'));
    await run(one, 'db', { jobs: {} });
    await until(one.engine.removeNetworkAs('br'));
    await pass(1_000);
    expect((await one.engineSide!.status())?.problems.join()).not.toContain(problem);
  });

  it('with the subnet and the name of one that is there keeps no container from that', async () => {
    await create('jobs', { subnets: ['10.9.0.0/24'] });
    await until(one.engine.createNetworkAs(bridge({ ipamOptions: { net: 'jobs' }, subnet: { cidr: '10.9.0.0/24' } })));
    await pass(1_000);
    await run(one, 'db', { jobs: {} });
    expect((await one.engineSide!.status())?.problems).toContainEqual(expect.stringContaining(problem));
    await until(one.engine.removeNetworkAs('br'));
    await pass(1_000);
  });
});
