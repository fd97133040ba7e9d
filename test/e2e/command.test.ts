/** The command beside a real agent: what docs/command.md shows, names of nodes, names of processes. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { agentPid } from '../lab/agent-process.ts';
import { examplesOf, runExample } from '../lab/examples.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true });

test.each(examplesOf('command'))('docs/command.md: %s', async (_, steps) => {
  await runExample(steps, (host, command) => lab().host(host).run(['sh', '-c', command]));
});

test('a node that is given another name has it on all hosts, also after a restart, and nothing else changes', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await one.mustOverlayd('network', 'create', 'renaming');
  await attach(one, 'c1', 'renaming', '--name', 'api');
  await attach(two, 'c2', 'renaming', '--name', 'shop');
  await untilReaches(one, 'c1', 'shop');
  const names = async (host = one) =>
    (await host.mustOverlayd('node', 'ls', '--format', '{{.Name}}')).trim().split('\n');

  // The host is called otherwise: the node is not.
  await two.must(['hostname', 'other']);
  await two.agent.stop();
  await two.agent.start();
  await until('both are ready', async () => (await two.mustOverlayd('status')).includes('State: ready'));
  expect(await names(two)).toEqual(['h1', 'h2']);

  // By another member, and by the node itself.
  expect((await one.mustOverlayd('node', 'update', '--name', 'db1', '--label-add', 'rack=7', 'h2')).trim()).toBe('db1');
  for (const host of [one, two]) await until('all know', async () => (await names(host)).join() === 'db1,h1');
  await two.mustOverlayd('node', 'update', '--name', 'db2', 'self');
  await until('all know', async () => (await names()).join() === 'db2,h1');
  const refused = await one.overlayd('node', 'update', '--name', 'h1', 'db2');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('the name h1 is taken by node')]);

  const saved = () => JSON.parse(readFileSync(`${two.dataDirectory}/identity.json`, 'utf8')) as { name: string };
  await until('the next start begins with it', async () => saved().name === 'db2');
  await two.agent.stop();
  await two.agent.start();
  await until('it is ready', async () => (await two.mustOverlayd('status')).includes('State: ready'));
  expect(await names(two)).toEqual(['db2', 'h1']);
  expect(
    (await two.mustOverlayd('endpoint', 'ls', '--filter', 'node=self', '--format', '{{.Name}} {{.Node}}')).trim(),
  ).toBe('shop db2');
  await untilReaches(one, 'c1', 'shop');
  expect(
    (await one.mustOverlayd('node', 'ls', '-q', '--filter', 'label=rack=7', '--filter', 'name=^db2$')).trim(),
  ).not.toBe('');
});

test('an endpoint is found by its network where several have its name', async () => {
  const one = lab().host(1);
  for (const network of ['left', 'right']) await one.mustOverlayd('network', 'create', network);
  await attach(one, 'twice', 'left', '--name', 'both');
  await one.mustOverlayd('network', 'connect', '--name', 'both', 'right', 'netns:twice');
  const { code, stderr } = await one.overlayd('inspect', 'both');
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /endpoint both is ambiguous: \w+ \((left|right)\/both on h1\), \w+ \((left|right)\/both on h1\)/,
    ),
  ]);
  const template = '{{.Kind}} {{.Network}}';
  expect(await one.mustOverlayd('inspect', '--format', template, 'right/both')).toBe('endpoint right');
  expect(await one.mustOverlayd('endpoint', 'inspect', '--format', '{{.Network}}', 'left/both')).toBe('left');
});

test('processes are called what they are', async () => {
  const one = lab().host(1);
  const comm = (pid: number) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  expect(comm(agentPid(one)!)).toBe('overlayd');
  const listed = (await one.must(['ps', '-e', '-o', 'comm='])).split('\n').map((line) => line.trim());
  expect(listed.filter((name) => name === 'overlayd')).toHaveLength(1);
  expect(listed).toContain('overlayd-names');
  expect(listed).not.toContain('MainThread');
});
