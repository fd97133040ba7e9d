import { GenericContainer } from 'testcontainers';
import { expect, test } from 'vitest';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    await Promise.all(hosts.map(({ engine }) => engine.start().then(() => engine.importImage())));
  },
});

/** Connects a running container by its process. Returns the address. */
async function connect(host: Host, container: string): Promise<string> {
  const pid = await host.engine.mustDocker('inspect', '--format', '{{.State.Pid}}', container);
  return host.mustOverlayd('network', 'connect', '--name', container, 'web', `pid:${pid}`);
}

/** Addresses by name, of all that is connected in the cluster. */
async function addresses(): Promise<ReadonlyMap<string, string>> {
  const rows: { Name: string; IPv4Address: string }[] = await lab().host(1).json('endpoint', 'ls');
  return new Map(rows.map(({ Name, IPv4Address }) => [Name, IPv4Address.split('/')[0]!]));
}

async function untilReaches(host: Host, container: string, address: string): Promise<void> {
  const ping = ['exec', container, 'ping', '-c', '1', '-W', '1', address];
  await until(`${container} to reach ${address}`, async () => (await host.engine.docker(...ping)).code === 0);
}

test('containers that their engines gave no network are connected by their process', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await one.mustOverlayd('network', 'create', 'web');
  const run = ['run', '-d', '--network', 'none', '--restart', 'always'];
  for (const [host, name] of [[one, 'c1'] as const, [two, 'c2'] as const]) {
    await host.engine.mustDocker(...run, '--name', name, IMAGE);
    await connect(host, name);
  }
  await untilReaches(one, 'c1', (await addresses()).get('c2')!);
});

test('an engine that is killed takes no connection away; the container that it starts anew has none', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await two.engine.kill();
  await untilReaches(one, 'c1', (await addresses()).get('c2')!);
  await two.engine.start();
  await until('c2 to be gone', async () => !(await addresses()).has('c2'));
  await untilReaches(one, 'c1', await connect(two, 'c2'));
});

test('a container that testcontainers started is connected like any other', async () => {
  const one = lab().host(1);
  process.env.DOCKER_HOST = `unix://${one.engine.socket}`;
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
  const started = await new GenericContainer(IMAGE).withName('c3').withNetworkMode('none').start();
  await untilReaches(one, 'c1', await connect(one, 'c3'));
  await started.stop();
  await until('c3 to be gone', async () => !(await addresses()).has('c3'));
  expect(await one.engine.mustDocker('ps', '-a', '--format', '{{.Names}}')).toBe('c1');
});
