/** Scenarios of `docs/faults.md` on five hosts: hosts that are cut off, stopped, switched off. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { untilReady } from '../../lab/cluster.ts';
import { Etcdctl } from '../../lab/etcd.ts';
import type { Host } from '../../lab/host.ts';
import { IS_LONG, stopwatch, tell } from '../../lab/measuring.ts';
import { attach, resolve, untilReaches, untilResolves } from '../../lab/network.ts';
import { observeKernel } from '../../lab/observation.ts';
import { type Pinging, startPinging } from '../../lab/pinging.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const address = new Map<string, string>();
const lab = useLab({
  hosts: 5,
  cluster: true,
  prepare: async (made) => {
    await made.host(1).mustOverlayd('network', 'create', '--subnet', '10.10.0.0/24', 'web');
    for (const host of made.hosts) {
      const name = `c-${host.name}`;
      address.set(host.name, await attach(host, name, 'web', '--name', name, '--alias', 'all'));
    }
    for (const host of made.hosts) await untilResolves(host, `c-${host.name}`, 'all', [...address.values()]);
  },
});
const [first, rest] = [() => lab().hosts.slice(0, 3), () => lab().hosts.slice(3)];
const all = () => [...address.values()];
const pauseUntil = (ms: number, since: () => number) => until('time to pass', () => since() >= ms, ms + 120_000);

/** Every host answers to the alias with the addresses of all. */
async function untilWhole(): Promise<void> {
  await Promise.all(lab().hosts.map((host) => untilResolves(host, `c-${host.name}`, 'all', all())));
}

/** Its own container, which was taken from the network, or is another one by now. */
async function connectAgain(host: Host): Promise<void> {
  const name = `c-${host.name}`;
  const there = (await host.must(['ip', 'netns', 'list'])).split('\n').some((line) => line.split(' ')[0] === name);
  const ref = there ? `netns:${name}` : await host.container(name);
  const connect = ['network', 'connect', '--name', name, '--alias', 'all', 'web', ref];
  address.set(host.name, (await host.mustOverlayd(...connect)).trim());
}

/** Addresses that two endpoints have, as every host lists them. */
async function doubleAddresses(): Promise<readonly string[]> {
  const rows: { IPv4Address: string; Network: string }[] = await lab().host(1).json('endpoint', 'ls');
  const places = rows.map((row) => `${row.Network} ${row.IPv4Address}`);
  return places.filter((place, at) => places.indexOf(place) !== at);
}

describe('a host that is cut off', () => {
  test.each([
    ['for 20 seconds', 'cut-off', 20_000],
    ['for longer than anybody remembers the dead', 'long-cut', 90_000],
  ] as const)('%s has all names again, and so have all others', async (_, scenario, cutMs) => {
    const five = lab().host(5);
    const others = lab().hosts.slice(0, 4);
    const cut = stopwatch();
    await lab().partition([five], [...others, lab().internet]);
    const left = all().filter((each) => each !== address.get('h5'));
    await Promise.all(others.map((host) => untilResolves(host, `c-${host.name}`, 'all', left)));
    if (IS_LONG) await pauseUntil(cutMs, cut);
    expect((await resolve(five, 'c-h5', 'c-h5')).values).toEqual([address.get('h5')]);
    await lab().heal();
    const healed = stopwatch();
    await untilWhole();
    tell({ scenario, ms: healed() });
    await untilReady(lab().hosts);
    await untilReaches(five, 'c-h5', 'c-h1');
  });
});

describe('a cluster that is split three to two', () => {
  let pings: readonly Pinging[] = [];
  beforeAll(async () => {
    pings = await Promise.all([
      startPinging(lab().host(2), 'c-h2', address.get('h3')!),
      startPinging(lab().host(4), 'c-h4', address.get('h5')!),
    ]);
    await attach(lab().host(4), 'spare', 'web', '--name', 'spare');
  });
  afterAll(async () => void (await Promise.all(pings.map((ping) => ping.end()))));

  test('claims where etcd is, goes on where it is not and says so, and has no address twice afterwards', async () => {
    const [one, , , four, five] = lab().hosts as [Host, Host, Host, Host, Host];
    await lab().partition(first(), [...rest(), lab().internet]);
    await until('etcd to be missed', async () => (await four.json('status')).Store.Reachable === false);
    const asked = stopwatch();
    const refused = await five.overlayd('network', 'connect', 'web', await five.container('minor'));
    tell({ scenario: 'split', what: 'refusal', ms: asked() });
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('etcd')]);
    const given = await attach(one, 'major', 'web', '--name', 'major');
    await one.mustOverlayd('network', 'disconnect', 'web', 'netns:c-h1');
    // Nobody lets go of what others have.
    const gone = await four.overlayd('network', 'disconnect', 'web', 'netns:spare');
    expect([0, 1]).toContain(gone.code);
    expect((await resolve(five, 'c-h5', 'c-h5')).values).toEqual([address.get('h5')]);
    await lab().heal();
    const healed = stopwatch();
    await untilReady(lab().hosts);
    await untilResolves(five, 'c-h5', 'major', [given]);
    tell({ scenario: 'split', what: 'whole again', ms: healed() });
    await connectAgain(one);
    if (gone.code !== 0) await four.overlayd('network', 'disconnect', 'web', 'netns:spare');
    await untilWhole();
    expect(await doubleAddresses()).toEqual([]);
    for (const ping of pings) {
      const packets = ping.replies();
      const lost = await ping.end();
      tell({ scenario: 'split', packets, lost: lost.length });
      expect(lost).toEqual([]);
    }
    await one.mustOverlayd('network', 'disconnect', 'web', 'netns:major');
  });
});

test('an agent that is stopped for longer than its lease takes no row from anybody, and is back at once', async () => {
  const [one, two, three] = lab().hosts as [Host, Host, Host];
  const live = async () => {
    const id = (await one.json('node', 'inspect', 'h3'))[0].ID;
    return (await Etcdctl.ofBundled(one).run('get', '--keys-only', `/overlayd/v2/live/${id}`)).trim() !== '';
  };
  expect(await live()).toBe(true);
  const ping = await startPinging(two, 'c-h2', address.get('h3')!);
  const before = await Promise.all([observeKernel(two), observeKernel(three)]);
  await three.agent.freeze();
  try {
    await until('its lease to be lost', async () => !(await live()));
  } finally {
    await three.agent.thaw();
  }
  const thawed = stopwatch();
  await until('its lease to be back', live);
  await untilWhole();
  tell({ scenario: 'stopped-agent', ms: thawed() });
  expect(await Promise.all([observeKernel(two), observeKernel(three)])).toEqual(before);
  const packets = ping.replies();
  const lost = await ping.end();
  tell({ scenario: 'stopped-agent', packets, lost: lost.length });
  expect(lost).toEqual([]);
});

test('a host that loses power: its names are gone from answers, and nobody gets its addresses', async () => {
  const [one, , , four] = lab().hosts as [Host, Host, Host, Host];
  await one.mustOverlayd('network', 'create', '--subnet', '10.70.0.0/29', 'tiny');
  const own = await attach(four, 'tiny-4', 'tiny');
  const others = ['tiny-a', 'tiny-b', 'tiny-c'];
  for (const name of others) await attach(one, name, 'tiny');
  await four.powerOff();
  const off = stopwatch();
  const left = all().filter((each) => each !== address.get('h4'));
  await Promise.all(
    lab()
      .hosts.filter((host) => host.isOn)
      .map((host) => untilResolves(host, `c-${host.name}`, 'all', left)),
  );
  tell({ scenario: 'host-off', ms: off() });
  // One is left; then the network is full, whoever may be dead.
  expect(await attach(one, 'tiny-d', 'tiny')).not.toBe(own);
  const refused = await one.overlayd('network', 'connect', 'tiny', await one.container('tiny-e'));
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/no available IPv4 addresses .*: 5 used, 0 free/),
  ]);
  await four.powerOn();
  await four.agent.start();
  await untilReady(lab().hosts);
  await connectAgain(four);
  await untilWhole();
});
