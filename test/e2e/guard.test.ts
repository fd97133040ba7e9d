/** Which ports of members are open to whom, with real agents and a real etcd. */
import { expect, test } from 'vitest';
import { untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3, cluster: true });

const PORTS = [2377, 7946, 2379];

/** Which of the ports take a connection. */
async function open(
  host: Host,
  container: string | undefined,
  address: string,
  ports: readonly number[] = PORTS,
): Promise<number[]> {
  const taken = await Promise.all(
    ports.map(async (port) => {
      const argv = ['timeout', '1', 'bash', '-c', `: < /dev/tcp/${address}/${port}`];
      return (await (container === undefined ? host.run(argv) : host.exec(container, argv))).code === 0;
    }),
  );
  return ports.filter((_, index) => taken[index]);
}

test('containers reach no control port, strangers the one to join, members all', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await one.mustOverlayd('network', 'create', 'web');
  await attach(one, 'c1', 'web');
  await attach(two, 'c2', 'web');
  expect(await open(one, 'c1', one.address)).toEqual([]);
  expect(await open(two, 'c2', one.address)).toEqual([]);
  expect(await open(two, 'c2', lab().host(3).address)).toEqual([]);
  await until('members to be let in', async () => (await open(two, undefined, one.address)).length === PORTS.length);

  const stranger = await lab().addHost('stranger', 99);
  expect(await open(stranger, undefined, one.address, [7946, 2379])).toEqual([]);
  await until('the join port', async () => (await open(stranger, undefined, one.address, [2377])).length === 1);
});

test('a member that comes from an address which the others do not know is heard all the same', async () => {
  const three = lab().host(3);
  await three.agent.stop();
  await three.must(['ip', 'address', 'add', '10.77.0.33/24', 'dev', 'eth0']);
  await three.must(['ip', 'route', 'replace', `${lab().host(1).address}/32`, 'dev', 'eth0', 'src', '10.77.0.33']);
  await three.agent.start();
  await untilReady([three]);
  // Its sources, as the host of etcd sees them.
  expect(await lab().host(1).must(['ss', '-Htn', 'state', 'established', 'sport = :2379'])).toContain('10.77.0.33');
});
