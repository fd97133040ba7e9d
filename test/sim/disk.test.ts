/** Disks that are full, and files that cannot be read: what is in memory, in etcd and in the kernel has to do. */
import { beforeEach, expect, it } from 'vitest';
import { unknownContainers } from '../../src/agent/endpoints/adoption.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { useEngines } from './engine-story.ts';
import { placeOf } from './fake-containers.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { hosts, until, pass, create, run, claims, addresses, offered } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(async () => {
  [one, two] = hosts();
  await create('web');
});

const connect = (host: SimulatedHost, network = 'web') =>
  until(host.running.endpoints.connect({ network, container: host.addContainer(), aliases: [] }));

it('an agent that starts on a full disk does all but remember, and remembers when there is space', async () => {
  await run(one, 'api', { web: {} });
  await pass(1_000);
  await one.crash();
  one.stateFile.isFull = true;
  await one.start();
  await pass(2_000);
  expect(one.running.local.unsaved).toContain('no space left on device');
  expect([...one.listening.values()].flat()).toContain('10.0.0.1');
  await run(two, 'far', { web: {} });
  await pass(1_000);
  expect([...one.running.view.addresses(claims()[0]!.networkId).values()].map(({ name }) => name)).toEqual([
    'api',
    'far',
  ]);
  one.stateFile.isFull = false;
  await pass(6_000);
  expect(one.running.local.unsaved).toBeUndefined();
  expect(one.disk.state?.endpoints.map(({ record }) => record.name)).toEqual(['api']);
});

it('a network that the engine refuses is refused to whoever makes it, in the engine’s words', async () => {
  one.engine.diskFull = true;
  const { id } = await until(one.running.networks.create(networkRequest('db')));
  expect(await until(one.engineSide!.networks.awaitOffer(id))).toContain('no space left on device');
  expect((await until(one.engineSide!.status()))!.problems.join()).toContain('Docker refused network db');
  one.engine.diskFull = false;
  await pass(31_000);
  expect(offered(one)).toEqual(['db', 'web']);
  expect(await until(one.engineSide!.networks.awaitOffer(id))).toBeUndefined();
});

it('a network is the engine’s although which one it is cannot be written down, until it can be', async () => {
  one.stateFile.isFull = true;
  await create('db');
  expect(offered(one)).toEqual(['db', 'web']);
  expect(one.engineSide!.networks.unsaved).toContain('no space left on device');
  one.stateFile.isFull = false;
  await pass(6_000);
  expect(Object.keys(one.disk.engineMemory!.networks)).toHaveLength(2);
  await pass(120_000);
});

it('a damaged state file costs no endpoint: what the kernel and etcd have is found again', async () => {
  const { endpoint } = await connect(one);
  const api = await run(one, 'api', { web: {} });
  await pass(2_000);
  const before = claims();
  await one.crash();
  const { writes } = one.kernel;
  one.stateFile.isDamaged = true;
  await one.start();
  await pass(40_000);
  expect(one.kernel.writes).toBe(writes);
  expect(claims()).toEqual(before);
  expect([...one.listening.values()].flat()).toContain('10.0.0.1');
  const found = one.running.local.all();
  expect(found.map(({ record }) => record.id).sort()).toEqual(before.map(({ id }) => id).sort());
  expect(found.find(({ record }) => record.name === 'api')?.container.path).toBe(placeOf(api));
  expect(one.disk.state?.endpoints).toHaveLength(2);
  // The engine's is known by its address again.
  const unknown = () => unknownContainers(one.running.local, one.running.view);
  expect(unknown()).toEqual([expect.stringContaining(`not known since: ${endpoint.record.name} on network web. They`)]);
  await until(one.engine.removeContainer('api'));
  await until(one.running.endpoints.disconnect('web', endpoint.record.name, false));
  expect(unknown()).toEqual([]);
  expect(addresses()).toEqual([]);
});

it('nor one that has IPv6', async () => {
  await create('both', { ipv6: true });
  await create('six', { ipv6: true, ipv4: false });
  for (const network of ['both', 'six']) await connect(one, network);
  await run(one, 'api', { both: {} });
  await pass(2_000);
  const before = claims();
  expect(before.map((record) => record.addresses.length).sort()).toEqual([1, 2, 2]);
  await one.crash();
  const { writes } = one.kernel;
  one.stateFile.isDamaged = true;
  await one.start();
  await pass(40_000);
  expect(one.kernel.writes).toBe(writes);
  expect(claims()).toEqual(before);
  expect(one.running.local.all()).toHaveLength(3);
  for (const { record, engine } of one.running.local.all())
    if (!engine) await until(one.running.endpoints.disconnect(record.networkId, record.name, false));
  await until(one.engine.removeContainer('api'));
  expect(addresses()).toEqual([]);
});

it('with a damaged state file nothing is taken away, nor written over it, before anybody tells what there is', async () => {
  await run(one, 'api', { web: {} });
  await pass(2_000);
  await one.crash();
  const { writes } = one.kernel;
  one.stateFile.isDamaged = true;
  one.store.cut();
  two.store.cut();
  await two.crash();
  await one.start();
  await pass(30_000);
  expect(one.kernel.writes).toBe(writes);
  expect(one.running.local.unreadable).toContain('state.json is not usable');
  expect(one.stateFile.isDamaged).toBe(true);
  one.store.heal();
  two.store.heal();
  await two.start();
  await pass(40_000);
  expect(one.kernel.writes).toBe(writes);
  expect(one.running.local.all().map(({ record }) => record.name)).toEqual(['api']);
});

it('claims whose port is gone are released though the state file is damaged', async () => {
  await connect(one);
  await pass(1_000);
  await one.reboot();
  one.stateFile.isDamaged = true;
  await one.start();
  await pass(5_000);
  expect(addresses()).toEqual([]);
  void one.engine.start();
  await pass(5_000);
});
