/** A host's wall clock, its etcd's with it, is set by a day, and back: what lives goes on, on it and on the others, and so does what is begun meanwhile. */
import { afterEach, expect, test } from 'vitest';
import { untilReady } from '../lab/cluster.ts';
import { etcdPid } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import { tell } from '../lab/measuring.ts';
import { attach, untilReaches, untilResolves } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';
import { WallClock } from '../lab/wall-clock.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const clocks = new Map<Host, WallClock>();
const addresses = new Map<Host, string>();

/** Three keepers and a plain member. */
const lab = useLab({
  hosts: 4,
  cluster: true,
  storeMembers: 3,
  prepare: async ({ hosts }) => {
    const [one, two, , four] = hosts as [Host, Host, Host, Host];
    await until('three keepers', async () => (await keepersOf(one)).length === 3);
    for (const host of [two, four]) {
      await host.agent.stop();
      clocks.set(host, new WallClock(host));
      // It outlives the agent, and is to be begun anew by that clock.
      const etcd = await etcdPid(host);
      if (etcd !== '') {
        await host.must(['kill', etcd]);
        await until('its etcd to end', async () => (await etcdPid(host)) === '');
      }
      await host.agent.start();
    }
    await untilReady(hosts);
    const { reachesEtcd } = clocks.get(two)!;
    await until(`its etcd to run by ${reachesEtcd ? "the host's clock" : 'the clock of the machine'}`, async () => {
      if (!reachesEtcd) return (await etcdPid(two)) !== '';
      return (await two.run(['pgrep', '-f', '^etcd /usr/bin/etcd --name '])).code === 0;
    });
    await one.mustOverlayd('network', 'create', 'web');
    await one.mustOverlayd('network', 'create', '-o', 'sticky=true', 'kept');
    for (const host of [one, two, four])
      addresses.set(host, await attach(host, `c-${host.name}`, 'web', '--name', `c-${host.name}`));
    await Promise.all([two, four].map((host) => untilReaches(one, `c-${one.name}`, `c-${host.name}`)));
  },
});

// One that fails leaves no clock off for the next.
afterEach(() => {
  for (const clock of clocks.values()) clock.setOff(0);
});

async function keepersOf(host: Host): Promise<readonly string[]> {
  const nodes: { Name: string; HoldsStore: boolean }[] = await host.json('node', 'ls');
  return nodes.filter(({ HoldsStore }) => HoldsStore).map(({ Name }) => Name);
}

/** By the agent's clock, which dates what it makes; made and removed by it, so its way to etcd is there. */
async function clockOf(host: Host): Promise<number> {
  await host.mustOverlayd('network', 'create', 'dated');
  const [{ Created }] = await host.json('network', 'inspect', 'dated');
  await host.mustOverlayd('network', 'rm', 'dated');
  return Date.parse(Created);
}

async function setOff(host: Host, ms: number): Promise<void> {
  clocks.get(host)!.setOff(ms);
  await until(`the agent of ${host.name} to have its clock off by ${ms} ms`, async () => {
    return Math.abs((await clockOf(host)) - Date.now() - ms) < HOUR_MS;
  });
}

/** What begins and ends on the host is so everywhere. */
async function checkChanges(host: Host, other: Host, name: string): Promise<void> {
  const there = await attach(host, name, 'web', '--name', name);
  await untilResolves(other, `c-${other.name}`, name, [there]);
  await untilReaches(other, `c-${other.name}`, name);
  const here = await attach(other, `${name}-o`, 'web', '--name', `${name}-o`);
  await untilResolves(host, `c-${host.name}`, `${name}-o`, [here]);
  for (const [at, each] of [host, other].entries()) {
    const container = at === 0 ? name : `${name}-o`;
    await each.mustOverlayd('network', 'disconnect', 'web', `netns:${container}`);
    await untilResolves(at === 0 ? other : host, `c-${(at === 0 ? other : host).name}`, container, []);
    await each.deleteContainer(container);
  }
  // An address that is kept for a name goes from host to host, whoever's clock dated its rest.
  const first = await attach(host, `${name}-k`, 'kept', '--name', `${name}-k`);
  await host.deleteContainer(`${name}-k`);
  await until('the endpoint to be gone', async () => (await host.json('endpoint', 'ls')).every(isOther(`${name}-k`)));
  expect(await attach(other, `${name}-k`, 'kept', '--name', `${name}-k`)).toBe(first);
  await other.deleteContainer(`${name}-k`);
}

const isOther =
  (name: string) =>
  ({ Name }: { Name: string }) =>
    Name !== name;

/** Nothing is wrong on any host, but that the clock of `off` is, which the others may say, and the others' as it sees them. */
async function checkWell(off?: Host): Promise<void> {
  for (const host of lab().hosts) {
    await until(`${host.name} to have nothing else to say`, async () => {
      const { Findings, Peers } = await host.json('status');
      const others = (Findings as { Code: string; Message: string }[]).filter(
        ({ Code, Message }) =>
          off === undefined || Code !== 'clock-skew' || (host !== off && !Message.includes(off.name)),
      );
      if (others.length > 0) throw new Error(others.map(({ Message }) => Message).join('; '));
      return (Peers as { State: string }[]).every(({ State }) => State === 'alive') && Peers.length === 3;
    });
    const nodes: { State: string }[] = await host.json('node', 'ls');
    expect(nodes.map(({ State }) => State)).toEqual(Array(4).fill('ready'));
  }
}

test.each([
  ['a keeper', 2, 'ahead', DAY_MS],
  ['a keeper', 2, 'back', -DAY_MS],
  ['a plain member', 4, 'ahead', DAY_MS],
  ['a plain member', 4, 'back', -DAY_MS],
])('the clock of %s (host %i) is set %s by a day: %i ms', async (_, number, way, jumpMs) => {
  const [one, host] = [lab().host(1), lab().host(number)];
  const ping = await startPinging(one, `c-${one.name}`, addresses.get(host)!);
  const runs = await Promise.all(lab().hosts.map(startedAt));
  const name = `${way}${number}`;
  await setOff(host, jumpMs);
  await checkChanges(host, one, `${name}a`);
  await checkWell(host);
  // What stands goes on by itself; what begins by that clock has to get in.
  await host.agent.kill();
  await host.agent.start();
  await checkChanges(host, one, `${name}b`);
  await checkWell(host);
  const token = await host.json('token', 'create', '--ttl', '1h');
  expect(await host.mustOverlayd('token', 'ls')).toContain(token.ID);
  await one.mustOverlayd('token', 'revoke', token.ID);
  await setOff(host, 0);
  await checkChanges(host, one, `${name}c`);
  await checkWell();
  expect(await keepersOf(one)).toHaveLength(3);
  const others = (times: readonly string[]) => times.filter((_, at) => at !== number - 1);
  expect(others(await Promise.all(lab().hosts.map(startedAt)))).toEqual(others(runs));
  const packets = ping.replies();
  const lost = await ping.end();
  tell({ scenario: 'clocks', packets, lost: lost.length });
  expect(lost).toEqual([]);
});

const startedAt = async (host: Host): Promise<string> => (await host.json('status')).StartedAt;
