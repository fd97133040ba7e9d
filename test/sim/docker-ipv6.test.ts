/** Networks of both families, and of IPv6 alone, with engines that ask for each family by itself. */
import { beforeEach, describe, expect, it } from 'vitest';
import { proposedMac } from '../../src/core/endpoint-mac.ts';
import { hasIpv6Alone } from '../../src/core/engine/offer-problems.ts';
import { isPlaceholder } from '../../src/core/engine/placeholder.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { DEFAULT } from '../../src/core/host-state.ts';
import { PREFIX } from '../../src/core/records.ts';
import { dockerNetwork, useEngines } from './engine-story.ts';
import { placeOf } from './fake-containers.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { cluster, hosts, until, pass, create, run, stored, claims, offered, routes } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

const SUBNETS = ['10.9.0.0/24', 'fd00:9::/64'];
const both = { ipv6: true, subnets: SUBNETS };
const ofBoth = { ipv6: true, subnet: { cidr: SUBNETS[0]! }, ipv6Subnet: { cidr: SUBNETS[1]! } };
/** Of each endpoint, by network and address. */
const all = () => claims().map(({ addresses }) => addresses.map(({ ip }) => ip));
const problems = async (host: SimulatedHost) => (await until(host.engineSide!.status()))!.problems.join();
/** What an engine asks for next of the other family waits; returns what lets it go. */
async function holdSecond(host: SimulatedHost) {
  const first = host.line.hold('requestAddress');
  void first.reached.then(() => first.release());
  await first.reached;
  return host.line.hold('requestAddress');
}

beforeEach(() => {
  [one, two] = hosts();
});

describe('a network of both families', () => {
  beforeEach(() => create('web', both));

  it('is on every engine with both subnets, and a container has an address of each, claimed as one', async () => {
    for (const { engine } of [one, two]) {
      const [web] = [...engine.objects.values()];
      expect([web!.ipv4!.pool, web!.ipv6!.pool]).toEqual(SUBNETS);
      expect([web!.ipv4!.gateway, web!.ipv6!.gateway]).toEqual(['10.9.0.1/24', 'fd00:9::1/64']);
    }
    const api = await run(one, 'api', { web: {} });
    await run(two, 'shop', { web: {} });
    expect(all()).toEqual([
      ['10.9.0.2', 'fd00:9::2'],
      ['10.9.0.3', 'fd00:9::3'],
    ]);
    await pass(5_000);
    for (const way of [DEFAULT[4], DEFAULT[6]])
      expect(routes(one, api).filter((destination) => destination === way)).toHaveLength(1);
    const made = cluster().etcd.entries(`${PREFIX}addresses/`);
    const [first] = made.filter(({ key }) => key.endsWith('/10.9.0.2'));
    expect(made.filter(({ revision }) => revision === first!.revision)).toHaveLength(2);
  });

  it('gives the addresses that a container asks for, of either family', async () => {
    await run(one, 'four', { web: { ip: '10.9.0.44' } });
    await run(one, 'six', { web: { ip6: 'fd00:9::66' } });
    await run(two, 'both', { web: { ip: '10.9.0.77', ip6: 'fd00:9::77' } });
    // Names are learnt last.
    await pass(1_000);
    const own = Object.fromEntries(claims().map(({ name, addresses }) => [name, addresses.map(({ ip }) => ip)]));
    expect(own).toEqual({
      four: ['10.9.0.44', expect.stringMatching(/^fd00:9::/)],
      six: [expect.stringMatching(/^10\.9\.0\./), 'fd00:9::66'],
      both: ['10.9.0.77', 'fd00:9::77'],
    });
    // What is asked for keeps its MAC: the other address of the container will be another the next time.
    expect(Object.fromEntries(claims().map(({ name, mac }) => [name, mac]))).toEqual({
      four: '02:42:0a:09:00:2c',
      six: proposedMac('fd00:9::66'),
      both: '02:42:0a:09:00:4d',
    });
    expect(stored('addresses')).toHaveLength(6);
    await pass(120_000);
    expect(stored('addresses')).toHaveLength(6);
  });

  it('gives the one that was asked for its MAC also where it would have been given unasked', async () => {
    const ip6 = 'fd00:9::2';
    await run(one, 'six', { web: { ip6 } });
    expect(claims().map(({ mac, addresses }) => [mac, addresses[1]!.ip])).toEqual([[proposedMac(ip6), ip6]]);
  });

  it('refuses one that is in use, and nothing stays claimed for it', async () => {
    await run(one, 'first', { web: { ip6: 'fd00:9::66' } });
    const second = run(two, 'second', { web: { ip6: 'fd00:9::66' } });
    await expect(second).rejects.toThrow('fd00:9::66 belongs to first on h1');
    // The engine forgets that it has an address of IPv4.
    await pass(120_000);
    expect(stored('addresses')).toHaveLength(2);
    await until(two.engine.removeContainer('second'));
  });

  it('has a container without IPv6 have the other family alone', async () => {
    await until(one.engine.run('old', { networks: { web: {} }, withoutIpv6: true }));
    expect(all()).toEqual([['10.9.0.2']]);
    expect(stored('addresses')).toHaveLength(1);
  });

  it('has a way out of IPv6 for containers that publish ports as soon as they run', async () => {
    const front = await until(one.engine.run('front', { networks: { web: {} }, publishesPorts: true }));
    await pass(5_000);
    expect(routes(one, front)).not.toContain(DEFAULT[4]);
    const inside = one.kernel.machine.snapshot(placeOf(front))!;
    const ways = inside.routes.filter(({ destination }) => destination === DEFAULT[6]);
    expect(ways).toMatchObject([{ gateway: 'fd00:9::1', link: 'eth0', metric: 2_048 }]);
  });

  it('has that way lead through another network when the container leaves the one that it went through', async () => {
    await create('alt', { ipv6: true, subnets: ['10.8.0.0/24', 'fd00:8::/64'] });
    const front = await until(one.engine.run('front', { networks: { alt: {}, web: {} }, publishesPorts: true }));
    await pass(5_000);
    const ways = () =>
      one.kernel.machine
        .snapshot(placeOf(front))!
        .routes.filter(({ destination }) => destination === DEFAULT[6])
        .map(({ gateway }) => gateway);
    expect(ways()).toEqual(['fd00:8::1']);
    await until(one.engine.disconnectAs('alt', 'front'));
    await pass(5_000);
    expect(ways()).toEqual(['fd00:9::1']);
  });

  it('keeps to each container what it has when the agent is started anew between the two questions', async () => {
    const second = holdSecond(one);
    const running = run(one, 'api', { web: {} });
    const held = await until(second);
    await until(held.reached);
    await one.crash();
    await until(one.start());
    held.release();
    await running;
    await pass(120_000);
    expect(all()).toEqual([[expect.any(String), expect.stringMatching(/^fd00:9::/)]]);
    expect(stored('addresses')).toHaveLength(2);
  });

  it('has nothing left of what etcd writes after it fell silent over the second question', async () => {
    const { ipv4, ipv6 } = [...one.engine.objects.values()][0]!;
    const any = { address: undefined, gateway: false, endpointName: undefined, mac: undefined };
    await until(one.line.call('requestAddress', { ...any, poolId: ipv4!.poolId }));
    const { store } = one;
    const { txn } = store;
    let late: Promise<unknown> | undefined;
    store.txn = async (...asked) => {
      if (!late) {
        late = cluster()
          .clock.sleep(500)
          .then(() => txn.call(store, ...asked));
        throw new OverlaydError('store-unavailable', 'etcd fell silent', { retryable: true });
      }
      await late;
      return await txn.call(store, ...asked);
    };
    const second = one.line.call('requestAddress', { ...any, poolId: ipv6!.poolId, address: 'fd00:9::66' });
    await expect(until(second)).rejects.toThrow('etcd fell silent');
    await pass(5_000);
    expect(stored('addresses')).toEqual([]);
  });

  it('has nothing left of what an engine asked for that died between the two questions', async () => {
    const second = holdSecond(one);
    const running = run(one, 'api', { web: {} });
    running.catch(() => undefined);
    const held = await until(second);
    await until(held.reached);
    expect(stored('addresses')).toHaveLength(2);
    one.engine.kill();
    held.release();
    await expect(running).rejects.toThrow();
    void one.engine.start();
    await pass(1_000);
    await until(one.engine.startContainer('api'));
    await pass(120_000);
    expect(all()).toHaveLength(1);
  });

  it('gives each its own when two objects of it ask in turns', async () => {
    await until(one.engine.createNetworkAs(dockerNetwork('alias', { ...ofBoth, ipamOptions: { net: 'web' } })));
    const second = holdSecond(one);
    const running = run(one, 'api', { web: {} });
    const held = await until(second);
    await until(held.reached);
    await run(one, 'shop', { alias: {} });
    held.release();
    await running;
    expect(all()).toHaveLength(2);
    expect(new Set(all().flat()).size).toBe(4);
  });

  it('gives containers what they had when the host boots without etcd', async () => {
    const service = { networks: { web: {} }, restarts: true };
    await until(one.engine.run('api', service));
    await until(one.engine.run('fixed', { ...service, networks: { web: { ip: '10.9.0.77', ip6: 'fd00:9::77' } } }));
    await pass(1_000);
    const before = claims();
    await one.reboot();
    one.store.cut();
    await one.start();
    void one.engine.start();
    await pass(60_000);
    const seen = [...one.engine.disk.endpoints.values()].map(({ address, ipv6Address }) => [address, ipv6Address]);
    expect(seen).toEqual(
      expect.arrayContaining([
        ['10.9.0.2/24', 'fd00:9::2/64'],
        ['10.9.0.77/24', 'fd00:9::77/64'],
      ]),
    );
    one.store.heal();
    await pass(20_000);
    expect(claims()).toEqual(before);
  });

  it('has a container that did not run start with the addresses that it asked for when its network came back', async () => {
    await run(two, 'asleep', { web: { ip6: 'fd00:9::66' } });
    await until(two.engine.stopContainer('asleep'));
    await run(one, 'user', { web: {} });
    await pass(1_000);
    await until(two.engine.removeNetworkAs('web'));
    await pass(5_000);
    await until(two.engine.startContainer('asleep'));
    expect(all().flat()).toContain('fd00:9::66');
  });
});

describe('a network that gets IPv6 while it is in use', () => {
  const pools = ({ engine }: SimulatedHost) => [...engine.objects.values()].map(({ subnets }) => subnets);

  it('has it on each engine as soon as no container is on it there, whether it runs or not', async () => {
    await create('web', { subnets: ['10.9.0.0/24'] });
    await run(one, 'busy', { web: {} });
    await run(one, 'asleep', { web: {} });
    await until(one.engine.stopContainer('asleep'));
    await pass(1_000);
    await until(one.running.networks.addSubnet('web', { subnet: 'fd00:9::/64' }));
    await pass(5_000);
    expect([pools(one), pools(two)]).toEqual([[['10.9.0.0/24']], [SUBNETS]]);
    await run(two, 'both', { web: {} });
    await run(one, 'old', { web: {} });
    const counts = () =>
      all()
        .map(({ length }) => length)
        .sort();
    expect(counts()).toEqual([1, 1, 2]);
    for (const name of ['busy', 'old']) await until(one.engine.removeContainer(name));
    await pass(60_000);
    await until(one.engine.startContainer('asleep'));
    expect(pools(one)).toEqual([['10.9.0.0/24']]);
    await until(one.engine.removeContainer('asleep'));
    await pass(60_000);
    expect(pools(one)).toEqual([SUBNETS]);
    await run(one, 'new', { web: {} });
    expect(counts()).toEqual([2, 2]);
  });

  it('stays in the cluster when the agent ends while its engine lets go of it', async () => {
    await create('web', { subnets: ['10.9.0.0/24'] });
    const asked = two.line.hold('deleteNetwork');
    await until(one.running.networks.addSubnet('web', { subnet: 'fd00:9::/64' }));
    await until(asked.reached);
    await two.crash();
    await until(two.start());
    asked.release();
    await pass(60_000);
    expect([one, two].map(pools)).toEqual([[SUBNETS], [SUBNETS]]);
  });
});

describe('an engine', () => {
  it('makes a network of both families of the cluster', async () => {
    await until(one.engine.createNetworkAs(dockerNetwork('web', ofBoth)));
    await pass(1_000);
    expect(one.running.networks.list()[0]!.subnets.map(({ cidr }) => cidr)).toEqual(SUBNETS);
    expect(offered(two)).toEqual(['web']);
    await run(two, 'api', { web: {} });
    expect(all()).toEqual([['10.9.0.2', 'fd00:9::2']]);
  });

  it('keeps free what it reserves by one name in each subnet', async () => {
    const [four, six] = [{ nas: '10.9.0.2' }, { nas: 'fd00:9::2' }];
    const subnet = { ...ofBoth.subnet, auxAddresses: four };
    const ipv6Subnet = { ...ofBoth.ipv6Subnet, auxAddresses: six };
    await until(one.engine.createNetworkAs(dockerNetwork('web', { ipv6: true, subnet, ipv6Subnet })));
    expect(one.running.networks.list()[0]!.subnets.map(({ auxAddresses }) => auxAddresses)).toEqual([four, six]);
    await pass(1_000);
    await run(two, 'api', { web: {} });
    expect(all()).toEqual([['10.9.0.3', 'fd00:9::3']]);
  });

  it.each([
    ['whose name it says when it asks for the pools', { options: {}, ipamOptions: { net: 'jobs' } }, false],
    ['whose name it says later', { options: { net: 'jobs' }, ipamOptions: {} }, true],
  ])('makes one without naming subnets, %s', async (_, naming, isUnknown) => {
    await until(one.engine.createNetworkAs(dockerNetwork('shop_jobs', { ...naming, ipv6: true })));
    await pass(1_000);
    const { ipv4, ipv6 } = [...one.engine.objects.values()].find(({ name }) => name === 'shop_jobs')!;
    expect([ipv4!.pool, ipv6!.pool].map(isPlaceholder)).toEqual([isUnknown, isUnknown]);
    const [jobs] = two.running.networks.list();
    const [, ula] = jobs!.subnets.map(({ cidr }) => cidr);
    expect(ula).toMatch(/^fd[0-9a-f:]+::\/64$/);
    await run(one, 'api', { shop_jobs: {} });
    await run(two, 'shop', { jobs: {} });
    expect(all().map((addresses) => addresses.length)).toEqual([2, 2]);
    await until(one.engine.removeContainer('api'));
    // What it keeps of its networks says it as well.
    await one.crash();
    one.loseEngineMemory();
    await until(one.start());
    await pass(5_000);
    await run(one, 'again', { shop_jobs: {} });
    expect(all().map((addresses) => addresses.length)).toEqual([2, 2]);
  });

  it('names subnets as it likes, and the cluster has them as everybody writes them', async () => {
    const cidr = 'FD00:0009:0::/64';
    const call = {
      addressSpace: 'overlayd-local',
      subPool: undefined,
      options: { net: 'web' },
      ipv6: true,
      pool: cidr,
    };
    expect(await until(one.line.call('requestPool', call))).toMatchObject({ pool: 'fd00:9::/64' });
  });

  it('is told what does not agree with the network that is there', async () => {
    await create('web', both);
    await create('four', { subnets: ['10.8.0.0/24'] });
    const refused = (overrides: object) =>
      expect(until(one.engine.createNetworkAs(dockerNetwork('alias', overrides)))).rejects;
    const web = { options: { net: 'web' }, ipamOptions: {} };
    await refused(web).toThrow('network web is there already and has IPv6; add --ipv6');
    await refused({ ...web, ipv6: true, ipv6Subnet: { cidr: 'fd00:8::/64' } }).toThrow(
      'has subnet 10.9.0.0/24, fd00:9::/64, not fd00:8::/64',
    );
    const four = { ipamOptions: { net: 'four' }, ipv6: true };
    await refused(four).toThrow('network four is there already and has no IPv6; leave --ipv6 out');
    await pass(1_000);
    expect(offered(one)).toEqual(['four', 'web']);
  });
});

describe('a network of IPv6 alone', () => {
  const upgrade = async ({ engine }: SimulatedHost) => {
    engine.kill();
    engine.version = '28.5.2';
    void engine.start();
    await pass(1_000);
  };
  const alone = { ipv4: false, ipv6: true, subnets: ['fd00:6::/64'] };

  it('is on engines that can have one, and the others are told', async () => {
    await upgrade(two);
    await create('six', alone);
    expect([one, two].map(({ engine }) => hasIpv6Alone(engine.version))).toEqual([false, true]);
    expect([offered(one), offered(two)]).toEqual([[], ['six']]);
    expect(await problems(one)).toContain('network six has no IPv4');
    const api = await run(two, 'api', { six: {} });
    expect(all()).toEqual([['fd00:6::2']]);
    expect(routes(two, api)).toContain(DEFAULT[6]);
    const { gateway } = [...two.engine.objects.values()][0]!.ipv6!;
    expect(gateway).toBe('fd00:6::1/64');
  });

  it('is made by an engine', async () => {
    await upgrade(one);
    await upgrade(two);
    const spec = dockerNetwork('six', { ipv4: false, ipv6: true, ipv6Subnet: { cidr: 'fd00:6::/64' } });
    await until(one.engine.createNetworkAs(spec));
    expect(one.running.networks.list()[0]!.subnets.map(({ cidr }) => cidr)).toEqual(['fd00:6::/64']);
    await run(one, 'api', { six: { ip6: 'fd00:6::77' } });
    expect(all()).toEqual([['fd00:6::77']]);
  });
});
