import { afterEach, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;

/** Two hosts with one container each on `web`. */
async function make(options: { etcdMs?: number } = {}): Promise<readonly [SimulatedHost, SimulatedHost]> {
  cluster = new SimulatedCluster({ seed: 1, ...options });
  await cluster.start(2);
  const [one, two] = cluster.hosts;
  await cluster.clock.until(one!.running.networks.create(networkRequest('web')));
  for (const host of cluster.hosts) {
    await cluster.clock.until(
      host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [] }),
    );
  }
  return [one!, two!];
}

const ports = (host: SimulatedHost) =>
  [...(host.kernel.machine.snapshot('ovl-4096')?.links.keys() ?? [])].filter((name) => name.startsWith('e'));

afterEach(() => cluster.stop());

it('unwires at once while neither etcd nor a peer has been heard since the start, and releases when they are', async () => {
  const [one] = await make();
  cluster.network.cut('node1', 'node2');
  for (const host of cluster.hosts) host.store.cut();
  await one.crash();
  await one.start();
  await cluster.clock.advance(5_000);
  expect(one.running.view.isWhole).toBe(false);
  await cluster.clock.until(one.running.endpoints.disconnect('web', 'netns:c1', false));
  expect(ports(one)).toEqual([]);
  cluster.heal();
  await cluster.clock.advance(30_000);
  expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toHaveLength(1);
  await checkQuiet(cluster);
});

it('unwires and releases although the state file cannot be written', async () => {
  const [one] = await make();
  one.stateFile.isFull = true;
  one.runFile.isFull = true;
  await cluster.clock.until(one.running.endpoints.disconnect('web', 'netns:c1', false));
  expect(ports(one)).toEqual([]);
  expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toHaveLength(1);
  one.stateFile.isFull = false;
  one.runFile.isFull = false;
  await checkQuiet(cluster);
});

it('gives the address back when the state file has let go of the endpoint too; cut short, it is whole again', async () => {
  const [one] = await make();
  one.stateFile.ms = 60_000;
  one.runFile.ms = 60_000;
  void one.running.endpoints.disconnect('web', 'netns:c1', false);
  await cluster.clock.advance(100);
  expect(ports(one)).toEqual([]);
  expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toHaveLength(2);
  await one.crash();
  one.stateFile.ms = 0;
  one.runFile.ms = 0;
  await one.start();
  await cluster.clock.advance(30_000);
  expect(ports(one)).toHaveLength(1);
  await checkQuiet(cluster);
});

it('waits for no peer, and has etcd asked for what the release needs while the endpoint is taken apart', async () => {
  const [one] = await make({ etcdMs: 100 });
  one.runFile.ms = 100;
  cluster.network.cut('node1', 'node2');
  const begun = cluster.clock.now();
  await cluster.clock.until(one.running.endpoints.disconnect('web', 'netns:c1', false));
  // The file, and etcd once.
  expect(cluster.clock.now() - begun).toBeLessThan(250);
  cluster.heal();
  await checkQuiet(cluster);
});

it('connects no container that has taken the name of the one that was meant', async () => {
  const [one] = await make();
  const container = one.addContainer();
  const look = one.kernel.inside.bind(one.kernel);
  one.kernel.inside = async (path) => {
    const state = await look(path);
    one.replaceContainer(container);
    return state;
  };
  const connecting = one.running.endpoints.connect({ network: 'web', container, aliases: [] });
  await expect(cluster.clock.until(connecting)).rejects.toMatchObject({ code: 'namespace-not-found' });
  expect(one.kernel.machine.snapshot('/run/netns/c2')?.links.has('eth0')).toBe(false);
  await checkQuiet(cluster);
});

it('fences a claim that etcd carries out after it was given up', async () => {
  const [one] = await make();
  one.store.cut();
  const connecting = one.running.endpoints.connect({
    network: 'web',
    container: one.addContainer(),
    aliases: [],
    ip: '10.0.0.9',
  });
  await expect(cluster.clock.until(connecting)).rejects.toThrow();
  one.store.heal();
  await cluster.clock.advance(5_000);
  const networkId = one.running.networks.list()[0]!.id;
  expect(cluster.etcd.entries(`/overlayd/v2/quarantine/${networkId}/10.0.0.9`)).toHaveLength(1);
  await checkQuiet(cluster);
});
