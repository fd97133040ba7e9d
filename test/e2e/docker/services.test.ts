/** Aliases of Docker's containers that have a service address by themselves. */
import { expect, test } from 'vitest';
import { addressOf, runContainer, startEngines, untilOffered } from '../../lab/docker-network.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true });

test('an alias of containers of two hosts has one address, a container’s name and id their own', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await startEngines([one, two]);
  await one.mustOverlayd('network', 'create', '--subnet', '10.1.0.0/24', '-o', 'vip=true', 'web');
  for (const host of [one, two]) await untilOffered(host, ['web']);
  await two.mustOverlayd('network', 'connect', '--name', 'client', 'web', await two.container('client'));
  for (const host of [one, two])
    await runContainer(host, `api-${host.name}`, '--network', 'web', '--network-alias', 'api');
  const own = [await addressOf(two, 'api-h1'), await addressOf(two, 'api-h2')].sort();
  const services = async () =>
    JSON.parse(await two.mustOverlayd('service', 'ls', '--format', 'json')) as {
      readonly Alias: string;
      readonly Automatic: boolean;
      readonly Addresses: readonly string[];
      readonly Backends: readonly unknown[];
    }[];
  await until('one service for both', async () => (await services())[0]?.Backends.length === 2);
  expect((await services()).map(({ Alias, Automatic }) => [Alias, Automatic])).toEqual([['api', true]]);
  const [address = ''] = (await services())[0]!.Addresses;
  expect(own).not.toContain(address);
  const answered = async (name: string) =>
    (await two.mustExec('client', ['dig', '+short', name])).trim().split('\n').sort();
  await until('the alias to be answered with it', async () => (await answered('api')).join() === address);
  expect(await answered('tasks.api')).toEqual(own);
  const id = (await one.engine.mustDocker('inspect', '-f', '{{.Id}}', 'api-h1')).slice(0, 12);
  for (const name of ['api-h1', id]) expect(own).toContain((await answered(name)).join());
  const { stdout } = await two.exec('client', ['ping', '-q', '-c', '4', '-i', '0.2', '-W', '2', 'api']);
  expect(stdout).toContain(' 4 received');

  await one.engine.mustDocker('rm', '-f', 'api-h1');
  await until('the other one alone to be there', async () => (await services())[0]?.Backends.length === 1);
  expect(await answered('api')).toEqual([address]);
  await two.engine.mustDocker('rm', '-f', 'api-h2');
  await until('it to be gone', async () => (await services()).length === 0);
  await until('the alias to be unknown', async () => (await answered('api')).join() === '');
  await two.deleteContainer('client');
});
