/** Hosts that lost power: their containers come back, whenever etcd does. */

import { beforeEach, describe, expect, it } from 'vitest';
import { SERVICE_ADDRESS } from '../../src/core/host-state.ts';
import { decodeEndpoint } from '../../src/core/record-codec.ts';
import { firstAddress, hasAddress } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkEnginesQuiet } from './engine-invariants.ts';
import { useEngines } from './engine-story.ts';
import type { AttachmentRequest } from './fake-containers.ts';
import { forget } from './forget.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const { cluster, hosts, until, pass, create, claims, addresses } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

const service = (host: SimulatedHost, name: string, networks: Readonly<Record<string, AttachmentRequest>>) =>
  until(host.engine.run(name, { networks, restarts: true, dnsServers: [SERVICE_ADDRESS] }));
const byName = (host: SimulatedHost) =>
  Object.fromEntries(
    [...host.engine.containers.values()].map(({ name, pid, attachments }) => {
      const addressesOf = [...attachments.values()].map(({ endpoint }) => endpoint?.address ?? '');
      return [name, pid === 0 ? 'down' : addressesOf.join()];
    }),
  );
const problems = async (host: SimulatedHost) => (await until(host.engineSide!.status()))!.problems.join();

beforeEach(() => {
  [one, two] = hosts();
});

describe('a host that boots while etcd is away', () => {
  beforeEach(async () => {
    await create('web');
    await create('db');
    await service(one, 'api', { web: {} });
    await service(one, 'store', { web: {}, db: {} });
    await service(one, 'fixed', { web: { ip: '10.0.0.77' } });
    await pass(1_000);
    await one.reboot();
    one.store.cut();
  });

  async function boot(): Promise<void> {
    await one.start();
    void one.engine.start();
  }

  it('has every container back under its own former address, and etcd need not be told a word', async () => {
    const before = claims();
    await boot();
    await pass(60_000);
    const back = { api: '10.0.0.2/24', store: '10.0.0.3/24,10.0.1.2/24', fixed: '10.0.0.77/24' };
    expect(byName(one)).toEqual(back);
    expect(await problems(one)).toBe('');
    one.store.heal();
    await pass(20_000);
    expect(byName(one)).toEqual(back);
    expect(claims()).toEqual(before);
  });

  it('keeps its engine waiting for etcd once, not once for each container', async () => {
    await boot();
    await pass(18_000);
    expect(byName(one)).toMatchObject({ fixed: '10.0.0.77/24' });
    expect(await until(one.engine.running())).not.toEqual([]);
  });

  it('says in its status which containers wait for etcd, and starts them when it is back', async () => {
    // A claim that somebody removed, of which this host hears by a peer.
    const [removed] = claims().filter((record) => hasAddress(record, '10.0.0.2'));
    forget(cluster().etcd, removed!);
    await pass(1_000);
    await boot();
    await pass(60_000);
    expect(byName(one)).toMatchObject({ api: 'down', fixed: '10.0.0.77/24' });
    expect(await problems(one)).toContain('Docker gave up starting api');
    one.store.heal();
    await pass(30_000);
    expect(byName(one).api).not.toBe('down');
    expect(await problems(one)).toBe('');
    expect(claims().filter(({ name }) => name === 'api')).toHaveLength(1);
  });

  it('lets go of an address that was given to another meanwhile, as soon as it hears so', async () => {
    cluster().partition([one], [two], [one]);
    const [lost] = claims().filter((record) => hasAddress(record, '10.0.0.77'));
    forget(cluster().etcd, lost!);
    await service(two, 'next', { web: { ip: '10.0.0.77' } });
    await boot();
    await pass(30_000);
    expect(byName(one).fixed).toBe('10.0.0.77/24');
    cluster().heal();
    await pass(10_000);
    expect(one.running.local.all().map(({ record }) => firstAddress(record))).not.toContain('10.0.0.77');
    expect(claims().find((record) => hasAddress(record, '10.0.0.77'))?.name).toBe('next');
    await until(one.engine.removeContainer('fixed'));
    await pass(30_000);
  });

  it('gives nothing of what it had to a container that nobody knows', async () => {
    await boot();
    await pass(30_000);
    await expect(until(one.engine.run('new', { networks: { web: {} } }))).rejects.toThrow('etcd has not answered');
    await until(one.engine.removeContainer('new'));
    one.store.heal();
    await pass(60_000);
    expect(Object.values(byName(one))).not.toContain('down');
  });

  it('remembers what it had when its agent ends before the containers are back', async () => {
    await one.start();
    await pass(1_000);
    await one.crash();
    await boot();
    await pass(60_000);
    expect(byName(one)).toMatchObject({ api: '10.0.0.2/24', fixed: '10.0.0.77/24' });
    one.store.heal();
    await pass(20_000);
  });

  it('keeps what it had until its engine has answered, and then releases what no container took', async () => {
    await until(one.start());
    one.store.heal();
    await pass(60_000);
    expect(addresses()).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.77', '10.0.1.2']);
    one.engine.disk.containers.clear();
    void one.engine.start();
    await pass(60_000);
    expect(addresses()).toEqual([]);
  });

  it('releases what it had when no engine comes', async () => {
    await until(one.start());
    one.store.heal();
    await pass(310_000);
    expect(addresses()).toEqual([]);
    void one.engine.start();
    await pass(60_000);
    expect(Object.values(byName(one))).not.toContain('down');
  });
});

describe('a host that boots while etcd answers', () => {
  const boot = async () => {
    await one.reboot();
    await pass(20_000);
    await until(one.start());
    await pass(5_000);
    void one.engine.start();
    await pass(60_000);
  };

  it('has the address again that its only container of a network had, with its MAC, and each time', async () => {
    await create('web', { ipv6: true });
    await service(one, 'api', { web: {} });
    await service(two, 'shop', { web: {} });
    await pass(1_000);
    const of = () => claims().map(({ name, addresses: all, mac }) => [name, all.map(({ ip }) => ip), mac]);
    const before = of();
    for (let times = 0; times < 2; times++) {
      await boot();
      expect(of()).toEqual(before);
    }
  });

  it('has it again where Docker asks before anything is known of the cluster', async () => {
    await create('web');
    await service(two, 'shop', { web: {} });
    await service(one, 'api', { web: {} });
    await pass(1_000);
    const before = byName(one);
    await one.reboot();
    await two.crash();
    one.store.cut();
    await one.start();
    void one.engine.start();
    await pass(4_000);
    one.store.heal();
    await until(two.start());
    await pass(60_000);
    expect(byName(one)).toEqual(before);
  });

  it.each(['silent', 'refusing'] as const)(
    'has it again where etcd is away at first (%s), and others know it',
    async (fault) => {
      await create('web');
      await service(two, 'shop', { web: {} });
      await service(one, 'api', { web: {} });
      await pass(1_000);
      const before = byName(one);
      await one.reboot();
      one.store.cut(fault);
      await one.start();
      await pass(2_000);
      void one.engine.start();
      await pass(9_000);
      one.store.heal();
      await pass(60_000);
      expect(byName(one)).toEqual(before);
    },
  );

  it('gives no address of one container to another one', async () => {
    await create('web');
    for (const name of ['api', 'store']) await service(one, name, { web: {} });
    await pass(1_000);
    const before = addresses();
    await boot();
    expect(Object.values(byName(one))).not.toContain('down');
    expect(addresses().filter((address) => before.includes(address))).toEqual([]);
  });

  it('has all addresses again where the engine says for whom it wants one', async () => {
    one.engine.version = '29.0.0';
    await create('web');
    for (const name of ['api', 'store']) await service(one, name, { web: {} });
    await pass(1_000);
    const before = byName(one);
    await boot();
    expect(byName(one)).toEqual(before);
  });

  it('has again what a container had that its engine gave up on', async () => {
    await create('web');
    for (const name of ['api', 'store']) await service(one, name, { web: {} });
    await pass(1_000);
    const before = byName(one);
    await one.reboot();
    one.store.cut();
    await one.start();
    void one.engine.start();
    // etcd is back before any of them is started.
    await pass(18_000);
    one.store.heal();
    await pass(60_000);
    expect(byName(one)).toEqual(before);
  });

  it('gives the address of a container that has not come back to nobody else once its engine has answered', async () => {
    await create('web');
    await until(one.engine.run('once', { networks: { web: {} } }));
    await pass(1_000);
    await boot();
    expect(addresses()).toEqual([]);
    await until(one.engine.run('new', { networks: { web: {} } }));
    expect(byName(one)).toEqual({ once: 'down', new: '10.0.0.3/24' });
  });
});

it('a container that asks for its address has it, also while what it had before is about to be given back', async () => {
  await create('web');
  await service(one, 'fixed', { web: { ip: '10.0.0.77' } });
  await pass(1_000);
  await one.reboot();
  one.runFile.ms = 3_000;
  await until(one.start());
  while (one.running.local.former().length > 0) await pass(10);
  expect(addresses()).toEqual(['10.0.0.77']);
  void one.engine.start();
  await pass(20_000);
  expect(byName(one)).toEqual({ fixed: '10.0.0.77/24' });
  one.runFile.ms = 0;
});

it('a container that ends while etcd is away is started when it is back', async () => {
  await create('web');
  await service(one, 'api', { web: {} });
  one.store.cut();
  await until(one.engine.stopContainer('api'));
  await expect(until(one.engine.startContainer('api'))).rejects.toThrow('etcd does not answer');
  await pass(5_000);
  expect(await problems(one)).toContain('Docker gave up starting api');
  one.store.heal();
  await pass(20_000);
  expect(byName(one).api).not.toBe('down');
});

it('an engine is not asked every second for each container that waits for etcd', async () => {
  await create('web');
  const names = ['a', 'b', 'c', 'd', 'e'];
  for (const name of names) await service(one, name, { web: {} });
  one.store.cut();
  for (const name of names) {
    await until(one.engine.stopContainer(name));
    await expect(until(one.engine.startContainer(name))).rejects.toThrow('etcd does not answer');
  }
  await pass(20_000);
  let looks = 0;
  const inspect = one.engine.inspect.bind(one.engine);
  one.engine.inspect = (id) => {
    looks += 1;
    return inspect(id);
  };
  await pass(60_000);
  expect(looks).toBeLessThan(10 * names.length);
  // Nobody waits for what is removed meanwhile.
  await until(one.engine.removeContainer('a'));
  await pass(15_000);
  expect(await problems(one)).toContain('Docker gave up starting b, c, d, e,');
  one.store.heal();
  await pass(5_000);
  expect(Object.values(byName(one))).not.toContain('down');
});

it('what its user starts for the first time, or has not asked to restart, is left alone', async () => {
  await create('web');
  await until(one.engine.run('once', { networks: { web: {} } }));
  one.store.cut();
  await until(one.engine.stopContainer('once'));
  await expect(until(one.engine.startContainer('once'))).rejects.toThrow();
  await expect(service(one, 'fresh', { web: {} })).rejects.toThrow();
  one.store.heal();
  await pass(60_000);
  expect(byName(one)).toEqual({ once: 'down', fresh: 'down' });
});

it.each(Array.from({ length: 20 }, (_, index) => index + 1))(
  'all hosts lose power and come back in some order, etcd among them: seed %i',
  async (seed) => {
    const world = new SimulatedCluster({ seed, engines: true });
    await world.start(3);
    const { clock, random } = world;
    await clock.until(world.hosts[0]!.running.networks.create(networkRequest('web')));
    await clock.advance(2_000);
    for (const host of world.hosts) {
      for (const name of ['a', 'b', 'c']) {
        await clock.until(host.engine.run(`${name}${host.record.name}`, { networks: { web: {} }, restarts: true }));
      }
    }
    await clock.advance(2_000);
    for (const host of world.hosts) await host.reboot();
    world.etcd.stop('silent');
    const later = async (start: () => unknown) => {
      await clock.sleep(random.next() * 40_000);
      await start();
    };
    const booting = [later(() => world.etcd.start())];
    for (const host of world.hosts)
      booting.push(
        later(() => host.start()),
        later(() => void host.engine.start()),
      );
    await clock.advance(180_000);
    await Promise.all(booting);
    for (const host of world.hosts) expect(Object.values(byName(host))).not.toContain('down');
    const names = world.etcd.entries('/overlayd/v2/endpoints/').map(({ value }) => decodeEndpoint(value)?.name);
    expect(names.toSorted()).toEqual(['ah1', 'ah2', 'ah3', 'bh1', 'bh2', 'bh3', 'ch1', 'ch2', 'ch3']);
    await checkEnginesQuiet(world);
    await world.stop();
  },
);
