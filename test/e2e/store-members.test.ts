import { describe, expect, test } from 'vitest';
import { joinArguments, untilReady } from '../lab/cluster.ts';
import { Etcdctl, etcdPid } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';
import { stopwatch, tell } from '../lab/measuring.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

interface ShownMember {
  readonly NodeName: string;
  readonly Role: string;
  readonly Answers: boolean;
}

interface ShownEvent {
  readonly Fields: Readonly<Record<string, unknown>>;
}

/** `h1 h2 (h3)`: whoever votes, and whoever has a copy, as the host is told. */
async function keepersSeenBy(host: Host): Promise<string> {
  const { Members, Change } = await host.json('store', 'status');
  if (Change !== '') throw new Error(`under way: ${Change}`);
  const shown = (Members as ShownMember[]).map(({ NodeName, Role }) =>
    Role === 'learner' ? `(${NodeName})` : NodeName,
  );
  return shown.sort().join(' ');
}

async function untilKept(host: Host, wanted: string): Promise<void> {
  await until(`${host.name} to see ${wanted} keep the store`, async () => {
    const seen = await keepersSeenBy(host);
    if (seen === wanted) return true;
    throw new Error(`it sees ${seen}`);
  });
}

/** Every agent asks so many members, its own first where it has one. */
async function untilAsked(hosts: readonly Host[], keepers: readonly Host[]): Promise<void> {
  const urls = keepers.map(({ address }) => `https://${address}:2379`).sort();
  for (const host of hosts) {
    await until(`${host.name} to ask ${urls.length} members`, async () => {
      const { Endpoints } = (await host.json('status')).Store as { Endpoints: string[] };
      const isFirst = !keepers.includes(host) || Endpoints[0] === `https://${host.address}:2379`;
      return isFirst && [...Endpoints].sort().join() === urls.join();
    });
  }
}

async function etcdOf(host: Host): Promise<string> {
  return await etcdPid(host);
}

/** A change on this host, again and again until it is made. */
async function change(host: Host, name: string): Promise<void> {
  await until(`a change on ${host.name}`, async () => {
    const { code, stderr } = await host.overlayd('network', 'create', name);
    if (code === 0 || /taken|exists/.test(stderr)) return true;
    throw new Error(stderr);
  });
}

/** With two of three away, on the one that is left: at once, and until the cause is told as it is. */
async function checkRefused(host: Host, name: string): Promise<void> {
  const asked = stopwatch();
  const { code, stderr } = await host.overlayd('network', 'create', name);
  tell({ scenario: 'keepers-lost', what: 'refusal', ms: asked() });
  expect(code).toBe(1);
  expect(stderr).toMatch(/etcd at .* (cannot serve|does not answer|did not answer)/);
  await until('the cause to be told', async () => {
    const again = await host.overlayd('network', 'create', name);
    if (again.stderr.includes('has its cluster a majority of members up?')) return true;
    throw new Error(again.stderr);
  });
}

describe('a store of three', () => {
  // Whichever test is chosen: two votes on the way to three are lost with either.
  const prepare = async (made: Lab) => untilKept(made.host(1), 'h1 h2 h3');
  const lab = useLab({ hosts: 3, cluster: true, storeMembers: 3, prepare });
  const hosts = () => lab().hosts as [Host, Host, Host];

  test('grows by itself, and every agent knows all members without a restart', async () => {
    const [one, two, three] = hosts();
    await untilKept(one, 'h1 h2 h3');
    await untilAsked(hosts(), hosts());
    expect(await two.mustOverlayd('node', 'ls')).toMatch(/^\S+ \* +h2 .*keeper/m);
    expect((await Etcdctl.ofBundled(three).run('member', 'list')).trim().split('\n')).toHaveLength(3);
    // Who did it tells why, on every host.
    const grown = await two.json('events', '--filter', 'type=store-member-voter');
    expect(grown.map(({ Fields }: ShownEvent) => [Fields.node, Fields.why]).sort()).toEqual([
      ['h2', '1 of 3 members of the store vote'],
      ['h3', '2 of 3 members of the store vote'],
    ]);
    for (const host of hosts()) {
      const log = await host.must(['cat', `${host.directory}/agent.log`]);
      expect(log).not.toContain('starting again');
    }
  });

  test.each([0, 1, 2])('host %i loses its power: changes go on, and it is one of three again', async (index) => {
    const victim = hosts()[index]!;
    const others = hosts().filter((host) => host !== victim);
    await victim.powerOff();
    const lost = stopwatch();
    await Promise.all(others.map((host) => change(host, `lost-${index}-${host.name}`)));
    tell({ scenario: 'keeper-lost', what: 'change', ms: lost() });
    await victim.powerOn();
    await victim.agent.start();
    await untilReady(hosts());
    await untilKept(others[0]!, 'h1 h2 h3');
    await until('all members to answer', async () => {
      const { Members } = await victim.json('store', 'status');
      return (Members as ShownMember[]).every(({ Answers }) => Answers);
    });
  });

  test('the leader is frozen: changes go on', async () => {
    const { Members } = await hosts()[0].json('store', 'status');
    const { NodeName } = (Members as ShownMember[]).find(({ Role }) => Role === 'leader')!;
    const leader = hosts().find(({ name }) => name === NodeName)!;
    const pid = await etcdOf(leader);
    await leader.must(['kill', '-STOP', pid]);
    const frozen = stopwatch();
    await Promise.all(hosts().map((host) => change(host, `frozen-${host.name}`)));
    tell({ scenario: 'keeper-frozen', what: 'change', ms: frozen() });
    await leader.must(['kill', '-CONT', pid]);
    await untilKept(leader, 'h1 h2 h3');
  });

  test('two of three are lost: traffic goes on, changes are refused with the cause, and it is whole when one returns', async () => {
    const [one, two, three] = hosts();
    await one.mustOverlayd('network', 'create', 'web');
    await attach(two, 'c2', 'web', '--name', 'c2');
    const address = await attach(three, 'c3', 'web', '--name', 'c3');
    await untilReaches(two, 'c2', 'c3');
    const pings = await startPinging(two, 'c2', address);
    const pids = [await etcdOf(one), await etcdOf(three)];
    for (const [i, host] of [one, three].entries()) {
      await host.agent.freeze();
      await host.must(['kill', '-9', pids[i]!]);
    }
    // Its own etcd does not know yet that the others are gone.
    await checkRefused(two, 'early');
    await until('etcd to be away', async () => (await two.json('status')).Store.Reachable === false);
    await checkRefused(two, 'late');
    const status = await two.mustOverlayd('store', 'status');
    expect(status).toContain('no majority of the members answers');
    await one.agent.thaw();
    const returned = stopwatch();
    await change(two, 'whole');
    tell({ scenario: 'keepers-lost', what: 'whole', ms: returned() });
    await three.agent.thaw();
    await untilReady(hosts());
    await untilKept(two, 'h1 h2 h3');
    const packets = pings.replies();
    const missing = await pings.end();
    tell({ scenario: 'keepers-lost', packets, lost: missing.length });
    expect(missing).toEqual([]);
  });

  test('two of three lose power: changes are refused with the cause, and it is whole when they return', async () => {
    const [one, two, three] = hosts();
    for (const host of [one, three]) await host.powerOff();
    await checkRefused(two, 'dark');
    await until('etcd to be away', async () => (await two.json('status')).Store.Reachable === false);
    await checkRefused(two, 'darker');
    for (const host of [one, three]) {
      await host.powerOn();
      await host.agent.start();
    }
    await untilReady(hosts());
    await untilKept(two, 'h1 h2 h3');
    await attach(three, 'c3', 'web', '--name', 'c3');
  });

  test('a keeper leaves: the others keep the store, and its etcd is gone', async () => {
    const [one, two, three] = hosts();
    for (const host of [two, three])
      await host.mustOverlayd('network', 'disconnect', 'web', `netns:c${host.name.slice(1)}`);
    await one.mustOverlayd('leave');
    await untilKept(two, '(h3) h2');
    expect(await etcdPid(one)).toBe('');
    await change(three, 'after-leave');
    const token = await two.mustOverlayd('token', 'create');
    await one.mustOverlayd(...joinArguments(token), '--advertise-addr', one.address);
    await untilKept(two, 'h1 h2 h3');
    await untilAsked(hosts(), hosts());
  });
});

describe('a store of three of four hosts', () => {
  const lab = useLab({ hosts: 4, cluster: true, storeMembers: 3 });
  const hosts = () => lab().hosts as [Host, Host, Host, Host];

  test('a person says which hosts keep it', async () => {
    const [one, two, three, four] = hosts();
    await untilKept(one, 'h1 h2 h3');
    for (const args of [
      ['node', 'promote', 'h4'],
      ['node', 'demote', 'h1'],
      ['store', 'resize', '5'],
    ])
      expect((await four.overlayd(...args)).stderr).toMatch(
        /h4 does not keep the store.*run the command on h1 or h2 or h3/,
      );
    expect(await two.mustOverlayd('node', 'demote', 'h1')).toContain('Node h1 keeps the store no more.');
    await untilKept(two, 'h2 h3 h4');
    await untilAsked(hosts(), [two, three, four]);
    // Five are wanted by that, and there are four: nobody who votes gives way.
    const { code, stderr } = await two.overlayd('node', 'promote', 'h1');
    expect([code, stderr]).toEqual([0, expect.stringMatching(/warning: /)]);
    await untilKept(two, '(h1) h2 h3 h4');
    await one.mustOverlayd('store', 'resize', '3');
    await untilKept(two, 'h1 h2 h3');
  });

  test('one that is lost for long is replaced, and does not come back as one', async () => {
    const [one, two, three, four] = hosts();
    for (const host of [one, two, four]) {
      await host.agent.stop();
      await host.agent.start(['--log-level', 'debug', '--store-replace-after', '5s']);
    }
    await untilReady(hosts());
    await three.powerOff();
    await untilKept(two, 'h1 h2 h4');
    const removed: ShownEvent[] = await four.json('events', '--filter', 'type=store-member-removed');
    expect(removed.find(({ Fields }) => Fields.node === 'h3')?.Fields.why).toMatch(
      /^it has not answered for [1-9]\d*m?\d*s?, and another host takes its place$/,
    );
    await change(four, 'without-h3');
    await three.powerOn();
    await three.agent.start();
    await untilReady(hosts());
    const aside = ['ls', `${three.dataDirectory}/etcd.aside`];
    await until('its etcd to be set aside', async () => (await three.run(aside)).code === 0);
    expect(await etcdPid(three)).toBe('');
    await untilAsked(hosts(), [one, two, four]);
    await change(three, 'back');
  });

  test('a keeper that is removed from the cluster is removed from the store', async () => {
    const [one, two, , four] = hosts();
    await four.powerOff();
    await until('h4 to be down', async () => {
      const { code, stderr } = await one.overlayd('node', 'rm', '--force', 'h4');
      if (code === 0) return true;
      throw new Error(stderr);
    });
    await untilKept(two, 'h1 h2 h3');
  });
});
