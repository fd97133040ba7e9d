/** Names are answered all the time, whatever becomes of the agent. */
import { appendFileSync, cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startAsking as ask, pointerOf } from '../lab/asking.ts';
import { untilFlawless, untilReady } from '../lab/cluster.ts';
import { etcdPid } from '../lab/etcd.ts';
import { type Host, ROOT } from '../lab/host.ts';
import { attach, resolve, untilReaches, untilResolves } from '../lab/network.ts';
import { overlayNamespaces } from '../lab/observation.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const LOCK = '/run/overlayd/names.sock.lock';

const addresses = new Map<string, string>();
const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    const [one, two] = hosts as [Host, Host];
    await one.mustOverlayd('network', 'create', 'web');
    addresses.set('here', await attach(one, 'here', 'web', '--name', 'here'));
    addresses.set('there', await attach(two, 'there', 'web', '--name', 'there'));
    await untilReaches(one, 'here', 'there');
  },
});

/** Names of this host, of the other one, a pointer, and a name of the outside. */
function startAsking(host: Host) {
  const gateway = addresses.get('here')!.replace(/\d+$/, '1');
  const pointer = pointerOf(addresses.get('there')!);
  const names = ['here', 'there', pointer, 'www.example', 'there.web', 'there.web.overlayd.internal'];
  return ask(host, 'here', names, { gateway, least: 3_000 });
}

const pidOf = async (host: Host) => Number(await host.must(['cat', LOCK]));

/** A release of its own, which is the same but for its stamp. */
function otherRelease(host: Host, stamp: string): string {
  const directory = join(host.directory, stamp);
  cpSync(join(ROOT, 'dist'), join(directory, 'dist'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  appendFileSync(join(directory, 'dist/lib/names.cjs'), `\n// ${stamp}\n`);
  return join(directory, 'dist/overlayd');
}

const KEPT = ['killed', 'stopped'] as const;

test.each(KEPT)('the agent is %s and started again: no answer is lost, the process is the same', async (how) => {
  const one = lab().host(1);
  const before = await pidOf(one);
  const stop = await startAsking(one);
  if (how === 'killed') await one.agent.kill();
  else expect(await one.agent.stop()).toBe(0);
  for (const name of ['here', 'there', 'www.example'])
    expect((await resolve(one, 'here', name)).values).toHaveLength(1);
  await one.agent.start();
  await untilReady(lab().hosts);
  const { asked, lost, wrong } = await stop();
  expect(asked).toBeGreaterThanOrEqual(3_000);
  expect({ lost, wrong }).toEqual({ lost: [], wrong: [] });
  expect(await pidOf(one)).toBe(before);
});

test('the agent is replaced by one of another release: no answer is lost, the process is another one', async () => {
  const one = lab().host(1);
  const before = await pidOf(one);
  one.agent.install(otherRelease(one, 'next'));
  const stop = await startAsking(one);
  await one.agent.stop();
  await one.agent.start();
  await until('another process', async () => (await pidOf(one)) !== before);
  await untilReady(lab().hosts);
  const { lost, wrong } = await stop();
  expect({ lost, wrong }).toEqual({ lost: [], wrong: [] });
  expect(await one.must(['readlink', `/proc/${await pidOf(one)}/cwd`])).toBe('/\n');
  await until('the former one to end', async () => (await one.run(['test', '-e', `/proc/${before}`])).code !== 0);
});

test('what came and went while the agent was away is known when it is back', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await one.agent.kill();
  addresses.set('late', await attach(two, 'late', 'web', '--name', 'late'));
  await two.mustOverlayd('network', 'disconnect', 'web', 'netns:there');
  expect((await resolve(one, 'here', 'there')).values).toEqual([addresses.get('there')]);
  await one.agent.start();
  await untilResolves(one, 'here', 'late', [addresses.get('late')!]);
  await untilResolves(one, 'here', 'there', []);
  await two.mustOverlayd(
    'network',
    'connect',
    '--name',
    'there',
    '--ip',
    addresses.get('there')!,
    'web',
    'netns:there',
  );
  await untilResolves(one, 'here', 'there', [addresses.get('there')!]);
});

test('etcd and all other agents are away when it comes back: it goes on to answer what was known', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await two.agent.kill();
  await one.agent.kill();
  const etcd = await etcdPid(one);
  await one.must(['kill', '-STOP', etcd]);
  const stop = await startAsking(one);
  await one.agent.start();
  // Longer than an agent that knows nothing waits before it says so.
  for (const endAt = performance.now() + 4_000; performance.now() < endAt; )
    expect((await resolve(one, 'here', 'there')).values).toEqual([addresses.get('there')]);
  const { lost, wrong } = await stop();
  expect({ lost, wrong }).toEqual({ lost: [], wrong: [] });
  await one.must(['kill', '-CONT', etcd]);
  await two.agent.start();
  await untilReady(lab().hosts);
});

test('the process is killed: the agent starts another one', async () => {
  const one = lab().host(1);
  const before = await pidOf(one);
  await one.must(['kill', '-KILL', String(before)]);
  // What is asked before it has ended is lost with it.
  await until('its end', async () => (await one.run(['test', '-e', `/proc/${before}`])).code !== 0);
  for (const name of ['here', 'there']) await untilResolves(one, 'here', name, [addresses.get(name)!]);
  expect(await pidOf(one)).not.toBe(before);
  await untilFlawless(one);
});

test('a network that goes takes its namespace with it', async () => {
  const one = lab().host(1);
  await one.mustOverlayd('network', 'create', 'brief');
  await attach(one, 'short', 'brief');
  await one.mustOverlayd('network', 'disconnect', 'brief', 'netns:short');
  expect(await overlayNamespaces(one)).toHaveLength(1);
  // A namespace that something holds keeps its VXLAN device, and there is no second one with that identifier.
  await one.mustOverlayd('network', 'connect', 'brief', 'netns:short');
  await one.mustOverlayd('network', 'disconnect', 'brief', 'netns:short');
  await one.mustOverlayd('network', 'rm', 'brief');
});

test('it ends with the membership', async () => {
  const two = lab().host(2);
  const before = await pidOf(two);
  for (const name of ['there', 'late']) await two.mustOverlayd('network', 'disconnect', 'web', `netns:${name}`);
  await two.mustOverlayd('leave');
  expect((await two.run(['test', '-e', `/proc/${before}`])).code).not.toBe(0);
});
