/** Encrypted networks through the front door of a container engine. */
import { beforeEach, expect, it } from 'vitest';
import { dockerNetwork, useEngines } from './engine-story.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { cluster, hosts, until, pass, create, run, stored, addresses, offered } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(() => {
  [one, two] = hosts();
});

it('docker network create --opt encrypted makes one, which every engine has', async () => {
  await until(one.engine.createNetworkAs(dockerNetwork('jobs', { options: { encrypted: '' } })));
  await pass(1_000);
  expect(stored('networks').map((value) => JSON.parse(value))).toMatchObject([
    { name: 'jobs', options: { encrypted: '' } },
  ]);
  expect(offered(two)).toEqual(['jobs']);
  await run(two, 'api', { jobs: {} });
  expect(addresses()).toHaveLength(1);
});

it('and gives no address where there is no WireGuard', async () => {
  await until(one.engine.createNetworkAs(dockerNetwork('jobs', { options: { encrypted: '' } })));
  await pass(1_000);
  cluster().wireguard = undefined;
  const late = await until(cluster().join());
  await pass(3_000);
  await expect(run(late, 'api', { jobs: {} })).rejects.toThrow('encrypted networks need WireGuard, which host h3');
  expect(addresses()).toEqual([]);
  await expect(
    until(one.engine.createNetworkAs(dockerNetwork('more', { options: { encrypted: '' } }))),
  ).rejects.toThrow('encrypted networks need WireGuard, which host h3');
});

it('a host that boots alone, without etcd, has its containers back: what it offers itself it need not be told', async () => {
  await create('jobs', { options: { encrypted: 'true' } });
  await until(one.engine.run('api', { networks: { jobs: { ip: '10.0.0.77' } }, restarts: true }));
  await pass(1_000);
  await one.reboot();
  one.store.cut();
  cluster().network.cut(one.record.id, two.record.id);
  await one.start();
  void one.engine.start();
  await pass(60_000);
  const [api] = [...one.engine.containers.values()];
  expect([...api!.attachments.values()].map(({ endpoint }) => endpoint?.address)).toEqual(['10.0.0.77/24']);
  expect(api!.pid).not.toBe(0);
  cluster().heal();
  await pass(20_000);
});
