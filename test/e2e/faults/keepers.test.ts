/** Scenarios of `docs/faults.md` on four hosts, of which three keep the store; see `store-members.test.ts` for the loss of keepers. */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { untilMade, untilUnmade } from '../../lab/cluster.ts';
import { type Refusal, streamCommands } from '../../lab/command-stream.ts';
import { Etcdctl, etcdPid } from '../../lab/etcd.ts';
import type { Host } from '../../lab/host.ts';
import { IS_LONG, stopwatch, tell } from '../../lab/measuring.ts';
import { attach, untilReaches, untilResolves } from '../../lab/network.ts';
import { startPinging } from '../../lab/pinging.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';
import { seededRandom } from '../../sim/seeded-random.ts';

/** In full. */
const KILLING_MS = 60_000;

let address = '';
const lab = useLab({
  hosts: 4,
  cluster: true,
  storeMembers: 3,
  prepare: async (made) => {
    const [one, , , four] = made.hosts as [Host, Host, Host, Host];
    await one.mustOverlayd('network', 'create', 'web');
    address = await attach(one, 'c1', 'web', '--name', 'c1');
    await attach(four, 'c4', 'web', '--name', 'c4');
    await untilReaches(four, 'c4', 'c1');
    await until('three members to be asked', async () => (await endpointsOf(four)).length === 3);
  },
});
const endpointsOf = async (host: Host): Promise<readonly string[]> => (await host.json('status')).Store.Endpoints;

/** Addresses to which the host's agent has a connection at etcd's port. */
async function askedBy(host: Host): Promise<readonly string[]> {
  const lines = (await host.must(['ss', '-Htn', 'state', 'established', 'dport', '=', ':2379'])).split('\n');
  return [...new Set(lines.flatMap((line) => /(\d+\.\d+\.\d+\.\d+):2379/.exec(line)?.[1] ?? []))];
}

test('the member that an agent asks is cut off from it without a word: it asks another one, and nothing waits for long', async () => {
  const [, two, , four] = lab().hosts as [Host, Host, Host, Host];
  const ping = await startPinging(four, 'c4', address);
  const [asked] = await askedBy(four);
  expect(asked).toBeDefined();
  const chain = (hook: string, side: string) =>
    `chain ${hook} {\ntype filter hook ${hook} priority -300\nip ${side}addr ${asked} tcp ${side}port 2379 drop\n}`;
  await four.must(['nft', `table inet half {\n${chain('input', 's')}\n${chain('output', 'd')}\n}`]);
  const cut = stopwatch();
  const name = `late-${two.name}`;
  const late = await attach(two, name, 'web', '--name', name);
  await until('a change there to be made', async () => (await four.overlayd('network', 'create', 'made')).code === 0);
  tell({ scenario: 'half-open-member', what: 'change', ms: cut() });
  await untilResolves(four, 'c4', name, [late]);
  const answers = async () => (await four.json('status')).Store.Reachable as boolean;
  await until('the store to be reachable', answers);
  expect(await askedBy(four)).not.toEqual([asked]);
  await four.must(['nft', 'delete', 'table', 'inet', 'half']);
  await untilUnmade(four, 'made');
  const packets = ping.replies();
  const lost = await ping.end();
  tell({ scenario: 'half-open-member', packets, lost: lost.length });
  expect(lost).toEqual([]);
});

test('a keeper that was cut off from the others comes back, and takes no leader down', async () => {
  const [one, two, three, four] = lab().hosts as [Host, Host, Host, Host];
  const keepers = [one, two, three];
  /** What the host's etcd says of itself: the term that it is in, and whether it knows a leader. */
  const raftOf = async (host: Host) => {
    const [{ Status }] = JSON.parse(await Etcdctl.ofBundled(host, 'own').run('endpoint', 'status', '-w', 'json'));
    return {
      term: Status.raftTerm as number,
      led: Boolean(Status.leader),
      leads: Status.leader === Status.header.member_id,
    };
  };
  const all = await Promise.all(keepers.map(async (host) => ({ host, ...(await raftOf(host)) })));
  const victim = all.find(({ leads }) => !leads)!.host;
  await lab().partition([victim], [...lab().hosts.filter((host) => host !== victim), lab().internet]);
  await until('it to have no leader', async () => !(await raftOf(victim)).led);
  await untilMade(four, 'meanwhile');
  await lab().heal();
  await until('it to have one again', async () => (await raftOf(victim)).led);
  const after = await Promise.all(keepers.map(async (host) => (await raftOf(host)).term));
  expect(after).toEqual(all.map(({ term }) => term));
  await untilUnmade(victim, 'meanwhile');
});

/** Says its etcd that it has a leader. */
const isLed = async (host: Host) =>
  JSON.parse(await Etcdctl.ofBundled(host, 'own').run('endpoint', 'status', '-w', 'json'))[0].Status.leader > 0;

test('keepers that were cut off from each other without a word hear each other as soon as packets pass', async () => {
  const keepers = lab().hosts.slice(0, 3);
  const [one, two, three] = keepers as [Host, Host, Host];
  // Whichever etcd is installed: one that would wait for the kernel to tell it, as those of 3.5 and newer do.
  const waiting = one.spawn(['bash', '-c', `exec 3<>/dev/tcp/${two.address}/2380; echo called; cat <&3`]);
  await until('it to have called', () => waiting.output.includes('called'));
  await lab().partition([one], [two], [three]);
  await until('none of them to have a leader', async () => !(await Promise.all(keepers.map(isLed))).some(Boolean));
  await until('what waits to be ended', () => waiting.output.includes('connection abort'));
  await lab().heal();
  const healed = stopwatch();
  await until('all of them to have one', async () => (await Promise.all(keepers.map(isLed))).every(Boolean));
  tell({ scenario: 'keepers-apart', what: 'whole', ms: healed() });
});

test('the etcd of one keeper after another is killed under changes of every kind: what is said of each is so', async () => {
  const keepers = lab().hosts.slice(0, 3);
  const seed = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 1e9));
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const [begun, over] = [stopwatch(), new AbortController()];
  const streams = lab().hosts.map((host, i) => streamCommands(host, seededRandom(seed + i), over.signal));
  for (let kills = 0; kills < 3 || (IS_LONG && begun() < KILLING_MS); kills++) {
    await pause(random.next() * 2_000);
    const victim = keepers[Math.floor(random.next() * keepers.length)]!;
    await victim.must(['kill', '-9', await etcdPid(victim)]);
    await until(`the etcd of ${victim.name} to be one of three again`, () => isLed(victim));
  }
  over.abort();
  const outcomes = await Promise.all(streams);
  const refused = outcomes.flatMap((each) => each.refused);
  const commands = outcomes.reduce((sum, each) => sum + each.commands, 0);
  tell({ scenario: 'keepers-killed', packets: commands, lost: refused.length });
  // A leader may be missing for longer than anybody waits, where the machine is busy: that is said, and nothing else goes wrong.
  if (refused.length > 0) console.log(refused.map((each) => Object.values(each).join(': ')).join('\n'));
  const isAway = ({ stderr }: Refusal) => /etcd at .* (cannot serve|does not answer|did not answer)/.test(stderr);
  expect(refused.filter((each) => !isAway(each))).toEqual([]);
  const listed = (await lab().host(4).json('network', 'ls')).map(({ Name }: { Name: string }) => Name);
  const [made, unsure] = [outcomes.flatMap((each) => each.made), outcomes.flatMap((each) => each.unsure)];
  expect(listed).toEqual(expect.arrayContaining(made.filter((name) => !unsure.includes(name))));
  expect(listed.filter((name: string) => name.startsWith('net-') && ![...made, ...unsure].includes(name))).toEqual([]);
});
