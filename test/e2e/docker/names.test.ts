/** Names inside of Docker's containers: answered in the place of Docker's own server, with all that the user asked of that. */
import { expect, test } from 'vitest';
import { untilFlawless } from '../../lab/cluster.ts';
import {
  addressOf,
  lookUp,
  OUTSIDE,
  runContainer,
  SERVICE_ADDRESS,
  untilLooksUp,
  untilOffered,
} from '../../lab/docker-network.ts';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

/** Docker is told nothing of us: what containers are answered they are answered by us. */
const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    await Promise.all(
      hosts.map(async ({ engine }) => {
        await engine.start(['--live-restore']);
        await engine.importImage();
      }),
    );
    await hosts[0]!.mustOverlayd('network', 'create', '--subnet', '10.1.0.0/24', 'web');
    await hosts[0]!.mustOverlayd('network', 'create', '--subnet', '10.2.0.0/24', 'data');
    for (const host of hosts) await untilOffered(host, ['data', 'web']);
  },
});
const one = () => lab().host(1);
const two = () => lab().host(2);
const ownOf = (host: Host, name: string, network: string) =>
  host.engine.mustDocker('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
const inside = (host: Host, name: string, ...command: readonly string[]) =>
  host.engine.docker('exec', name, ...command);

test('short names have the containers of all hosts, without a word in Docker’s configuration', async () => {
  for (const host of lab().hosts) {
    await runContainer(host, `api-${host.name}`, '--network', 'web', '--network-alias', 'api');
  }
  const all = [await addressOf(one(), 'api-h1'), await addressOf(one(), 'api-h2')].sort();
  for (const host of lab().hosts) {
    for (const name of ['api', 'api.web', 'tasks.api']) await untilLooksUp(host, `api-${host.name}`, name, all);
    expect(await lookUp(host, `api-${host.name}`, OUTSIDE)).toEqual(['198.51.100.1']);
    expect(await lookUp(host, `api-${host.name}`, 'nobody')).toEqual([]);
    await untilFlawless(host);
  }
  // The first command of a container.
  const first = ['run', '--rm', '--network', 'web', IMAGE, 'nslookup', '-type=a', 'api-h1'];
  expect((await two().engine.docker(...first)).stdout).toContain(all.find((ip) => ip !== all[1])!);
});

test('names of the container’s other networks, links, and name servers of its user go on', async () => {
  const { engine } = one();
  await engine.mustDocker('network', 'create', 'own');
  await runContainer(one(), 'pg', '--network', 'own', '--network-alias', 'postgres');
  await runContainer(one(), 'mixed', '--network', 'web');
  await engine.mustDocker('network', 'connect', '--link', 'pg:linked', 'own', 'mixed');
  const pg = await ownOf(one(), 'pg', 'own');
  for (const name of ['pg', 'postgres', 'pg.own', 'linked']) await untilLooksUp(one(), 'mixed', name, [pg]);
  expect(await lookUp(one(), 'mixed', 'api-h2')).toEqual([await addressOf(one(), 'api-h2')]);
  await engine.mustDocker('network', 'disconnect', 'own', 'mixed');
  await untilLooksUp(one(), 'mixed', 'pg', []);
  await engine.mustDocker('network', 'connect', 'data', 'mixed');
  await runContainer(two(), 'store', '--network', 'data');
  await untilLooksUp(one(), 'mixed', 'store', [await addressOf(one(), 'store')]);
  // Nobody answers there, so that nothing outside is known.
  await runContainer(one(), 'elsewhere', '--network', 'web', '--dns', '192.0.2.1');
  expect(await lookUp(one(), 'elsewhere', 'api-h2')).toEqual([await addressOf(one(), 'api-h2')]);
  expect(await lookUp(one(), 'elsewhere', OUTSIDE)).toEqual([]);
});

test('search domains, ndots and hosts of the user count', async () => {
  const options = ['--dns-opt', 'ndots:2', '--dns-search', 'web.overlayd.internal', '--add-host', 'fixed:192.0.2.7'];
  await runContainer(one(), 'odd', '--network', 'web', ...options);
  const { stdout: resolver } = await inside(one(), 'odd', 'cat', '/etc/resolv.conf');
  expect(resolver).toMatch(/search web\.overlayd\.internal\n(?:.*\n)*.*ndots:2/);
  for (const name of ['api-h2', 'api-h2.web', 'fixed']) {
    await until(name, async () =>
      (await inside(one(), 'odd', 'ping', '-c', '1', '-W', '1', name)).stdout.startsWith('PING'),
    );
  }
  expect(await lookUp(one(), 'odd', 'api-h2')).toEqual([await addressOf(one(), 'api-h2')]);
  expect((await inside(one(), 'odd', 'ping', '-c', '1', '-W', '1', 'fixed')).stdout).toContain('192.0.2.7');
});

test('names go on over restarts of the container and of the engine, and while it is away', async () => {
  const all = [await addressOf(one(), 'api-h1'), await addressOf(one(), 'api-h2')].sort();
  await one().engine.mustDocker('restart', '-t', '0', 'mixed');
  await untilLooksUp(one(), 'mixed', 'api', all);
  const pid = await one().engine.mustDocker('inspect', '-f', '{{.State.Pid}}', 'mixed');
  const asked = () =>
    one().run(['nsenter', '-t', pid, '-n', 'dig', '+short', '+tries=1', '+time=2', '@127.0.0.11', 'api']);
  await one().engine.stop();
  expect((await asked()).stdout.trim().split('\n').sort()).toEqual(all);
  await one().engine.start();
  expect((await asked()).stdout.trim().split('\n').sort()).toEqual(all);
  await runContainer(two(), 'later', '--network', 'web');
  await untilLooksUp(one(), 'mixed', 'later', [await addressOf(one(), 'later')]);
});

test('names go on while the agent is away', async () => {
  await one().agent.stop();
  expect(await lookUp(one(), 'mixed', 'api-h2')).toEqual([await addressOf(two(), 'api-h2')]);
  await one().agent.start();
  await untilLooksUp(one(), 'mixed', 'api-h2', [await addressOf(one(), 'api-h2')]);
});

test('docker-names=forward leaves all questions to Docker’s server', async () => {
  const tables = async () => {
    const pid = await one().engine.mustDocker('inspect', '-f', '{{.State.Pid}}', 'mixed');
    return (await one().run(['nsenter', '-t', pid, '-n', 'nft', 'list', 'tables'])).stdout;
  };
  expect(await tables()).toContain('overlayd-names');
  await one().agent.stop();
  await one().agent.start(['--docker-names', 'forward']);
  await until('Docker to be asked', async () => !(await tables()).includes('overlayd-names'));
  expect(await lookUp(one(), 'mixed', 'api-h1')).toEqual([await addressOf(one(), 'api-h1')]);
  await runContainer(one(), 'asking', '--network', 'web', '--dns', SERVICE_ADDRESS);
  await untilLooksUp(one(), 'asking', 'api', [await addressOf(one(), 'api-h1')]);
});
