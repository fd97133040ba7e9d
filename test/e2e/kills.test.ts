import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { untilFlawless, untilReady } from '../lab/cluster.ts';
import { attach, untilResolves } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const ROUNDS = 16;
/** A start, names included, takes about so long here; a kill comes anywhere in it. */
const SPREAD_MS = 1_600;
const NETWORKS = ['web', 'api', 'jobs'];
/** What the agent starts for itself and no longer than for itself. */
const PROGRAMS = /ip -rcvbuf|nft monitor/;

const addresses = new Map<string, string>();
const lab = useLab({
  hosts: 1,
  cluster: true,
  prepare: async ({ hosts: [one] }) => {
    for (const network of NETWORKS) {
      await one!.mustOverlayd('network', 'create', network);
      addresses.set(network, await attach(one!, `c-${network}`, network, '--name', network));
    }
  },
});

test('an agent that is killed at any moment of its start leaves no process, and the next one answers names', async () => {
  const one = lab().host(1);
  const left = async () => (await one.must(['ps', '-eo', 'args'])).split('\n').filter((line) => PROGRAMS.test(line));
  await one.agent.kill();
  for (let round = 0; round < ROUNDS; round++) {
    const agent = one.agent.launch();
    await agent.pid();
    const killed = Promise.withResolvers<number>();
    setTimeout(() => one.agent.kill().then(killed.resolve, killed.reject), (round * SPREAD_MS) / ROUNDS);
    await killed.promise;
  }
  await until('what the agents started to end', async () => (await left()).length === 0);
  await one.agent.start();
  await untilReady([one]);
  await untilFlawless(one);
  for (const [network, address] of addresses) await untilResolves(one, `c-${network}`, network, [address]);
});

test('one that is killed is found again by what it left below /run, and one that is told to end has all of it on the disk', async () => {
  const one = lab().host(1);
  const read = async (path: string) =>
    JSON.parse(await one.must(['cat', path])) as { endpoints: { record: { name: string } }[] };
  const names = async (path: string) => (await read(path)).endpoints.map(({ record }) => record.name);
  const [run, disk] = ['/run/overlayd/state.json', `${one.dataDirectory}/state.json`];
  await attach(one, 'c-late', 'web', '--name', 'late');
  await one.agent.kill();
  expect(await names(run)).toContain('late');
  await one.agent.start();
  await untilReady([one]);
  await one.mustOverlayd('network', 'disconnect', 'web', 'netns:c-late');
  await one.agent.stop();
  expect(await one.must(['ls', '/run/overlayd'])).not.toContain('state.json');
  expect((await names(disk)).sort()).toEqual([...NETWORKS].sort());
  await one.agent.start();
  await untilReady([one]);
  await untilFlawless(one);
});

test('of several that start at once after a crash one goes on, and the others say that it does', async () => {
  const one = lab().host(1);
  await one.agent.kill();
  const agents = Array.from({ length: 4 }, () => one.agent.launch());
  const codes: number[] = [];
  for (const { exited } of agents) void exited.then((code) => codes.push(code));
  await until('three of them to end', () => codes.length >= 3);
  expect(codes).toEqual([1, 1, 1]);
  await untilReady([one]);
  const log = await readFile(join(one.directory, 'agent.log'), 'utf8');
  expect(log.match(/^overlayd: another agent answers on .*; stop it first/gm)).toHaveLength(3);
  for (const agent of agents) await agent.kill();
  await Promise.all(agents.map(({ exited }) => exited));
  await one.agent.start();
});
