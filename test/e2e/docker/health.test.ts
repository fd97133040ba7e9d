/** A container that its own check takes for unwell leaves names and services until it is well, and keeps its connections. */
import { expect, test } from 'vitest';
import { addressOf, endpointRows, startEngines, untilOffered } from '../../lab/docker-network.ts';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true });

const CHECK = ['--health-cmd', 'test ! -e /tmp/unwell', '--health-interval', '300ms', '--health-retries', '1'];
const SERVE = 'mkdir /www && hostname > /www/index.html && httpd -p 80 -h /www && exec nc -ll -p 81 -e cat';

test('an unhealthy container gets nothing new, on any host, until it is healthy again', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await startEngines([one, two]);
  await one.mustOverlayd('network', 'create', '--subnet', '10.1.0.0/24', 'web');
  for (const host of [one, two]) await untilOffered(host, ['web']);
  const start = (host: Host) => {
    const names = ['--name', `api-${host.name}`, '--hostname', `api-${host.name}`, '--network-alias', 'api'];
    return host.engine.mustDocker('run', '-d', ...names, '--network', 'web', ...CHECK, IMAGE, 'sh', '-c', SERVE);
  };
  await Promise.all([start(one), start(two)]);
  await two.mustOverlayd('network', 'connect', 'web', await two.container('client'));
  const [first, second] = [await addressOf(one, 'api-h1'), await addressOf(one, 'api-h2')];
  const answered = async (name: string) => {
    const lines = await two.mustExec('client', ['dig', '+short', name]);
    return lines.trim().split('\n').sort();
  };
  const untilAnswered = (name: string, ...wanted: readonly string[]) =>
    until(`${name} to be ${wanted}`, async () => (await answered(name)).join() === [...wanted].sort().join());
  await untilAnswered('api', first, second);
  const made = await one.mustOverlayd('service', 'create', '--network', 'web', '--alias', 'api');
  const call = `exec 3<>/dev/tcp/${made.trim()}/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 5 tail -n 1 <&3`;
  const ask = ['bash', '-c', call];
  const untilAsked = (...wanted: readonly string[]) =>
    until(`${wanted} to be asked`, async () => {
      const said = await Promise.all([1, 2, 3, 4].map(() => two.exec('client', ask)));
      return [...new Set(said.map(({ stdout }) => stdout.trim()))].sort().join() === wanted.join();
    });
  const health = async () => {
    const rows = (await endpointRows(one)) as readonly { Name: string; Health?: string }[];
    return Object.fromEntries(rows.map(({ Name, Health }) => [Name, Health]));
  };
  const listed = (host: Host) =>
    until(`${host.name}'s to be listed as unhealthy`, async () => (await health())[`api-${host.name}`] === 'unhealthy');
  await untilAsked('api-h1', 'api-h2');

  const pipe = '/run/to-first';
  await two.must(['mkfifo', pipe]);
  const connection = `exec 3<>/dev/tcp/${first}/81; cat <&3 & exec cat <> ${pipe} >&3`;
  const alive = two.spawn(['ip', 'netns', 'exec', 'client', 'bash', '-c', connection]);
  const untilEchoed = async (word: string) => {
    await two.must(['sh', '-c', `echo ${word} > ${pipe}`]);
    await until(`${word} to come back`, async () => alive.output.includes(word));
  };
  await untilEchoed('before');

  await one.engine.mustDocker('exec', 'api-h1', 'touch', '/tmp/unwell');
  await listed(one);
  expect(await two.mustOverlayd('endpoint', 'ls')).toMatch(/api-h1 .*up \(unhealthy\)/);
  await untilAsked('api-h2');
  for (const name of ['tasks.api', 'tasks.api.web']) await untilAnswered(name, second);
  expect(await answered('api-h1')).toEqual([first]);
  await untilEchoed('meanwhile');

  await one.engine.mustDocker('exec', 'api-h1', 'rm', '/tmp/unwell');
  await untilAsked('api-h1', 'api-h2');
  expect(await health()).toEqual({ 'api-h1': '', 'api-h2': '', client: '' });
  await untilAnswered('tasks.api', first, second);

  // Nobody tells an agent that is away; it looks when it comes back.
  await one.agent.stop();
  await one.engine.mustDocker('exec', 'api-h1', 'touch', '/tmp/unwell');
  await until('Docker to say so', async () => {
    const said = await one.engine.mustDocker('inspect', '-f', '{{.State.Health.Status}}', 'api-h1');
    return said.trim() === 'unhealthy';
  });
  await one.agent.start();
  await listed(one);
});
