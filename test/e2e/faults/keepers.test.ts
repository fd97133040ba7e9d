/** Scenarios of `docs/faults.md` on four hosts, of which three keep the store; see `store-members.test.ts` for the loss of keepers. */
import { expect, test } from 'vitest';
import { Etcdctl } from '../../lab/etcd.ts';
import type { Host } from '../../lab/host.ts';
import { stopwatch, tell } from '../../lab/measuring.ts';
import { attach, untilReaches, untilResolves } from '../../lab/network.ts';
import { startPinging } from '../../lab/pinging.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

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
  await four.mustOverlayd('network', 'rm', 'made');
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
  await four.mustOverlayd('network', 'create', 'meanwhile');
  await lab().heal();
  await until('it to have one again', async () => (await raftOf(victim)).led);
  const after = await Promise.all(keepers.map(async (host) => (await raftOf(host)).term));
  expect(after).toEqual(all.map(({ term }) => term));
  await victim.mustOverlayd('network', 'rm', 'meanwhile');
});
