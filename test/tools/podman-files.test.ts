/** What docs/podman.md shows for podman-compose and Quadlet: its files, as they stand there. */
import { beforeAll, expect, test } from 'vitest';
import { endpointNames, endpointRows } from '../lab/docker-network.ts';
import { blocksOf, pageOf } from '../lab/examples.ts';
import { attach } from '../lab/network.ts';
import { PODMAN_FLAGS, Podman } from '../lab/podman.ts';
import { expectSuccess } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let podman: Podman;
const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    const one = hosts[0]!;
    podman = new Podman(one, { besides: ['podman-compose'] });
    await podman.start();
    await one.agent.stop();
    await one.agent.start(PODMAN_FLAGS);
  },
});
const one = () => lab().host(1);
const two = () => lab().host(2);

const blocks = blocksOf(pageOf('podman'));
const [external = '', own = ''] = blocks.flatMap(({ language, text }) => (language === 'yaml' ? [text] : []));

/** By names of files, as comments above them say. */
function unitFiles(): ReadonlyMap<string, string> {
  const [text = ''] = blocks.flatMap(({ language, text }) => (language === 'ini' ? [text] : []));
  const parts = text.split(/^# (\S+\.(?:network|container))\n/m).slice(1);
  return new Map(parts.flatMap((name, nth) => (nth % 2 === 0 ? [[name, parts[nth + 1]!] as const] : [])));
}

async function write(path: string, text: string): Promise<void> {
  await one().must(['sh', '-c', 'mkdir -p "$(dirname "$0")" && cat > "$0"', path], { input: text });
}

const compose = async (file: string, ...args: readonly string[]) =>
  expectSuccess(await podman.inRoot(['podman-compose', '-p', 'shop', '-f', file, ...args]));

beforeAll(async () => {
  await one().mustOverlayd('network', 'create', '--subnet', '10.64.0.0/24', 'web');
  await until('web to be offered', async () => (await podman.networks()).includes('web'));
  await attach(two(), 'far', 'web');
});

test('a project of podman-compose is on a network of the cluster', async () => {
  await write('/run/external.yml', external);
  await compose('/run/external.yml', 'up', '-d');
  await two().mustExec('far', ['ping', '-c', '1', '-W', '5', 'entry']);
  await two().mustExec('far', ['ping', '-c', '1', '-W', '5', 'front']);
  await compose('/run/external.yml', 'down', '-t', '0');
  expect(await endpointNames(one())).toEqual(['far']);
  expect(await podman.networks()).toEqual(['web']);
});

test('and one brings its network, which is the cluster’s', async () => {
  await write('/run/own.yml', own);
  await compose('/run/own.yml', 'up', '-d');
  await attach(two(), 'near', 'jobs');
  await until('the other host to know it', async () => {
    return (await two().exec('near', ['ping', '-c', '1', '-W', '2', 'worker'])).code === 0;
  });
  await two().mustOverlayd('network', 'disconnect', 'jobs', 'netns:near');
  await compose('/run/own.yml', 'down', '-t', '0');
  await until('nothing to be left', async () => (await endpointNames(one())).join() === 'far');
});

test('Quadlet’s units make the network and run the container on it', async () => {
  const files = unitFiles();
  expect([...files.keys()]).toEqual(['jobs.network', 'worker.container']);
  for (const [name, text] of files) await write(`/etc/containers/systemd/${name}`, text);
  const { stdout, stderr } = await podman.inRoot(['/usr/libexec/podman/quadlet', '-dryrun']);
  const units = new Map(
    [...stdout.matchAll(/^---(\S+)---\n([\s\S]*?)(?=^---|$(?![\s\S]))/gm)].map((m) => [m[1]!, m[2]!]),
  );
  expect([[...units.keys()].sort(), stderr]).toEqual([['jobs-network.service', 'worker.service'], expect.anything()]);
  const run = async (unit: string, key: string) => {
    const [, line] = new RegExp(`^${key}=(.*)$`, 'm').exec(units.get(unit)!) ?? [];
    // There is no systemd in here, which would have groups for it.
    const command = line!
      .replaceAll('%t', '/run')
      .replaceAll('%N', 'worker')
      .replace(/--cgroups=\S+ /, '');
    return expectSuccess(await podman.inRoot(['sh', '-c', command]));
  };
  await run('jobs-network.service', 'ExecStart');
  await run('jobs-network.service', 'ExecStart');
  await run('worker.service', 'ExecStart');
  const row = (await endpointRows(two())).find(({ Name }) => Name === 'unit')!;
  expect(row).toMatchObject({ Network: 'jobs', Node: 'h1', Aliases: expect.arrayContaining(['worker']) });
  expect(await one().json('publish', 'ls')).toMatchObject([{ HostPort: 8088, Name: 'unit', Tool: 'podman' }]);
  await attach(two(), 'by', 'jobs');
  await two().mustExec('by', ['ping', '-c', '1', '-W', '5', 'worker']);
  await run('worker.service', 'ExecStop');
  await until('its end', async () => (await endpointNames(one())).join() === 'by,far');
  expect(await podman.networks()).toEqual(['jobs', 'web']);
});
