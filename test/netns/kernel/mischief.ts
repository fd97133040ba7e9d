/** What somebody with root and the system's tools may do that no op of ours does: scripts of sh, chosen by chance. */
import { HOST, type Link, type NamespaceState, type Place } from '../../../src/core/host-state.ts';
import type { Filter } from '../../../src/core/packet-filter.ts';
import { isNetworkNamespace, isPortLink } from '../../../src/core/plan/naming.ts';
import type { Random } from '../../../src/ports/runtime.ts';
import type { Host } from '../../lab/host.ts';

/** A script, and where it runs: some are about a namespace and run in the host. */
export interface Mischief {
  readonly at: Place;
  readonly script: string;
}

type OfLink = (link: Link) => string | undefined;
type OfFilter = (filter: Filter, random: Random) => string;

const LINKS: readonly OfLink[] = [
  ({ name }) => `ip link set ${name} down`,
  ({ name }) => `ip link set ${name} down; ip link set ${name} up`,
  ({ name }) => `ip address flush dev ${name}`,
  ({ name }) => `ip neighbour flush dev ${name} nud permanent`,
  ({ name }) => `ip route flush dev ${name}`,
];
/** Of a network's namespace, and of the host. */
const OUR_LINKS: readonly OfLink[] = [
  ...LINKS,
  ({ name }) => `ip link set ${name} down; ip link set ${name} name gone`,
  ({ name, master }) => (master === undefined ? undefined : `ip link set ${name} nomaster`),
  ({ name, master }) =>
    master === undefined ? undefined : `ip link add other type bridge; ip link set ${name} master other`,
  ({ name, kind }) => (kind === 'vxlan' ? `ip link set ${name} type vxlan learning` : undefined),
  ({ name, kind }) => (kind === 'vxlan' || kind === 'bridge' ? `bridge fdb flush dev ${name}` : undefined),
  ({ name, kind }) => (kind === 'vxlan' ? `ip link set ${name} mtu 1300` : undefined),
  ({ name, kind }) => (kind === 'vxlan' ? `ip link set ${name} address 02:42:0a:00:99:98` : undefined),
  ({ name, kind }) => (kind === 'bridge' ? `ip link set ${name} type bridge stp_state 1 mcast_snooping 1` : undefined),
  ({ name }) => (isPortLink(name) ? `ip link set ${name} netns 1` : undefined),
];

const table = ({ family }: Filter) => `${family} overlayd`;
/** The rules as `chain handle`, one of them by chance. */
const aRule = (filter: Filter, random: Random) =>
  `nft -a list table ${table(filter)} | awk '/^\tchain /{c=$2} /^\t\t.*# handle/&&!/type .* hook/{l[n++]=c" handle "$NF} END{if(n)print l[${Math.floor(random.next() * 1_000)}%n]}'`;
const FILTERS: readonly OfFilter[] = [
  (filter, random) => `nft delete rule ${table(filter)} $(${aRule(filter, random)})`,
  (filter, random) => `nft delete rule ${table(filter)} $(${aRule(filter, random)})`,
  (filter, random) => `nft insert rule ${table(filter)} ${pick(random, filter.chains)!.name} accept`,
  (filter, random) => `nft flush chain ${table(filter)} ${pick(random, filter.chains)!.name}`,
  (filter, random) => `nft flush set ${table(filter)} ${pick(random, filter.sets)?.name ?? 'none'}`,
  (filter) => `nft flush table ${table(filter)}`,
  (filter) => `nft "add table ${table(filter)} { flags dormant; }"`,
  () => 'nft flush ruleset',
];

/** `states`: what is there, by place; containers by path. Undefined: there is nothing of that kind to be damaged. */
export function chooseMischief(random: Random, states: ReadonlyMap<Place, NamespaceState>): Mischief | undefined {
  const [at, state] = pick(random, [...states]) ?? [];
  if (at === undefined || !state) return undefined;
  const isOurs = at === HOST || isNetworkNamespace(at);
  if (isNetworkNamespace(at) && random.next() < 0.05) return { at: HOST, script: `umount -l /run/netns/${at}` };
  if (isOurs && random.next() < 0.4)
    return state.filter && { at, script: pick(random, FILTERS)!(state.filter, random) };
  const link = pick(
    random,
    [...state.links.values()].filter(({ kind }) => kind !== ''),
  );
  const script = link && pick(random, isOurs ? OUR_LINKS : LINKS)!(link);
  return script === undefined ? undefined : { at, script };
}

/** `ip … flush` goes on as long as somebody makes anew what it takes away, who may wait for it: it is ended then. */
const LIMIT_MS = 5_000;

/** What is not there any more is damaged already. */
export async function commit(host: Host, { at, script }: Mischief): Promise<void> {
  const enter = isNetworkNamespace(at) ? `/run/netns/${at}` : at;
  await host.run([...(at === HOST ? [] : ['nsenter', `--net=${enter}`]), 'sh', '-c', script], {
    timeoutMs: LIMIT_MS,
  });
}

function pick<T>(random: Random, items: readonly T[]): T | undefined {
  return items[Math.floor(random.next() * items.length)];
}
