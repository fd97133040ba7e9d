/**
 * A network's nftables table, and how any of our tables is compared. What changes is in sets, rules are constant text.
 *
 * Network: a container's frames carry its own MAC and addresses or are dropped, ARP included; nothing but IPv4 and ARP passes,
 * and IPv6 where the network has any (`ipv6-filter.ts`; no VLAN tag); nobody beyond the tunnel speaks as this host's gateway; what agents
 * send each other to see whether packets pass is for the host's end.
 * Where containers are not to reach each other, what they send goes to the gateway and not back from there, and nothing comes
 * out of the tunnel, whatever the other hosts let in. The gateway of an isolated network answers names, and nothing else.
 *
 * Where what is for groups and for everybody reaches other hosts (`multicast`), that is between containers: ARP goes to the
 * tunnel alone, which answers it, as solicitations do; the gateway gets nothing else of that kind, says none of it to other
 * hosts, and so much a second leaves the host.
 */
import { type DesiredNetwork, type DesiredPort, type Op, type Place, TUNNEL } from '../host-state.ts';
import { isIpv4 } from '../ip.ts';
import type { Filter, FilterChain, FilterSet } from '../packet-filter.ts';
import { probeRule } from '../path/network-probe.ts';
import { hasFamily } from '../subnets.ts';
import { exposureChains, toBridge } from './exposure.ts';
import { type Ipv6Filter, ipv6Filter } from './ipv6-filter.ts';
import { gatewayMac } from './naming.ts';
import { isNoChange, portChange } from './port-change.ts';
import { detour } from './service.ts';
import { isMulticast } from './wanted.ts';

/** Before connection tracking, where one packet costs least. */
export const RAW = -300;
/** Before `filter`, so that ours is said whatever else the host has. */
export const EARLY = -5;
/** After whatever the host's firewall says, also of those that want to have the last word. */
export const LATE = 300;
export const SRCNAT = 100;
export const DSTNAT = -100;
/** Of nft's expressions and sets, by family. */
export const HEADER = { 4: 'ip', 6: 'ip6' } as const;
export const ADDRESS_TYPE = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;
export const LEASES = { 4: 'leases', 6: 'leases6' } as const;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const ETHERNET_BYTES = 14;
/** Frames to one receiver: the first bit on the wire is not set (IEEE 802). */
const TO_ONE = 'ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00';

export function networkFilter(network: DesiredNetwork, ports: readonly DesiredPort[]): Filter {
  const gateway = gatewayMac(network);
  const ipv6 = hasFamily(network, 6) ? ipv6Filter(network, ports) : undefined;
  const services = detour(network, ports);
  /** What the gateway takes for itself. */
  const heard = isMulticast(network) ? gateway : `${gateway}, ${BROADCAST}`;
  return {
    family: 'bridge',
    sets: [
      set(LEASES[4], ['ifname', 'ether_addr', 'ipv4_addr'], leasesOfAll(network, ports)),
      ...(ipv6?.sets ?? []),
      ...services.sets,
    ],
    chains: [
      chain('prerouting', 'prerouting', RAW, 'drop', [
        // As it stands in the frame: with a VLAN tag before it, `ip` alone would match.
        `ether type != { ip, ${ipv6 ? 'ip6, ' : ''}arp } counter drop`,
        ...(ipv6 ? ipv6.nobody : []),
        ...(network.betweenContainers
          ? [
              `iifname "${TUNNEL}" ether saddr ${gateway} drop`,
              probeRule(TUNNEL, toBridge(network)),
              `iifname "${TUNNEL}" accept`,
            ]
          : [
              `iifname "${TUNNEL}" counter drop`,
              ...(ipv6 ? ipv6.toGateway : [`ether daddr != { ${gateway}, ${BROADCAST} } counter drop`]),
              ...network.subnets
                .filter((subnet) => isIpv4(subnet.gateway))
                .map(({ cidr, gateway: ip }) => `ip daddr ${cidr} ip daddr != ${ip} counter drop`),
            ]),
        ...(network.gatewayModes[4] === 'isolated'
          ? [
              `ether daddr { ${heard} } ip protocol != { tcp, udp } counter drop`,
              ...['tcp', 'udp'].map((protocol) => `ether daddr { ${heard} } ${protocol} dport != 53 counter drop`),
            ]
          : []),
        ...(ipv6 && network.gatewayModes[6] === 'isolated' ? ipv6.namesAlone : []),
        'iifname . ether saddr . ip saddr @leases accept',
        'iifname . ether saddr . arp saddr ip @leases iifname . arp saddr ether . arp saddr ip @leases accept',
        ...(ipv6?.own ?? []),
        'counter drop',
      ]),
      ...services.chains,
      ...exposureChains(network),
      ...(network.multicastRate === undefined ? [] : multicastChains(network.multicastRate, network.mtu, ipv6)),
    ],
  };
}

/** By port, which is never changed. */
const leases = new WeakMap<DesiredPort, readonly string[]>();

function leasesMade(port: DesiredPort): readonly string[] {
  const made = leases.get(port);
  if (made) return made;
  const { link, mac, addresses } = port;
  const ipv4 = addresses.filter(({ address }) => isIpv4(address));
  const texts = ipv4.map(({ address }) => `${link} ${mac} ${address}`);
  leases.set(port, texts);
  return texts;
}

/** A set, and what it was made of: a copy of another one, with some elements less and some more. */
interface SetChange {
  readonly of: WeakRef<ReadonlySet<string>>;
  readonly gone: readonly string[];
  readonly come: readonly string[];
}

const setChanges = new WeakMap<ReadonlySet<string>, SetChange>();

/** The leases of all ports that were made last, by the remotes of the network. */
const leasesLast = new WeakMap<
  DesiredNetwork['remotes'],
  { readonly ports: readonly DesiredPort[]; readonly leases: ReadonlySet<string> }
>();

function leasesOfAll({ remotes }: DesiredNetwork, ports: readonly DesiredPort[]): ReadonlySet<string> {
  const last = leasesLast.get(remotes);
  const change = last && portChange(last.ports, ports);
  if (last && change && isNoChange(change)) return last.leases;
  let all: Set<string>;
  if (last && change) {
    all = new Set(last.leases);
    const [gone, come] = [change.gone.flatMap(leasesMade), change.come.flatMap(leasesMade)];
    for (const lease of gone) all.delete(lease);
    for (const lease of come) all.add(lease);
    setChanges.set(all, { of: new WeakRef(last.leases), gone, come });
  } else all = new Set(ports.flatMap(leasesMade));
  leasesLast.set(remotes, { ports, leases: all });
  return all;
}

/**
 * Of frames to groups and to everybody. A burst may be what a second is. What a container hands over in one piece, to be cut
 * later (UDP segmentation), is one packet here and many behind the tunnel: so bytes count as well, as many as of whole frames.
 */
function multicastChains(rate: number, mtu: number, ipv6: Ipv6Filter | undefined): FilterChain[] {
  const frame = mtu + ETHERNET_BYTES;
  const answered = ['ether type arp accept', ...(ipv6 ? [ipv6.solicitation] : [])];
  return [
    chain('forward', 'forward', EARLY, 'accept', [
      `${TO_ONE} accept`,
      `oifname != "${TUNNEL}" ether type arp drop`,
      ...(ipv6 ? ipv6.discovery(TUNNEL) : []),
      ...answered,
      `oifname "${TUNNEL}" limit rate over ${rate * frame} bytes/second burst ${frame} bytes counter drop`,
      `oifname "${TUNNEL}" limit rate over ${rate}/second burst ${rate} packets counter drop`,
    ]),
    // By the host itself: the bridge answers ARP and asks by it; what else it has to say is for nobody elsewhere.
    chain('output', 'output', EARLY, 'accept', [
      `oifname != "${TUNNEL}" accept`,
      `${TO_ONE} accept`,
      ...answered,
      'counter drop',
    ]),
    chain('input', 'input', EARLY, 'accept', [`${TO_ONE} accept`, ...answered, 'counter drop']),
  ];
}

export function set(name: string, type: readonly string[], elements: Iterable<string>): FilterSet {
  return { name, type, interval: false, elements: elements instanceof Set ? elements : new Set(elements) };
}

export function chain(
  name: string,
  hook: string,
  priority: number,
  policy: FilterChain['policy'],
  rules: readonly string[],
): FilterChain {
  return { name, type: 'filter', hook, priority, policy, rules };
}

/** The addresses that a port may use, as the loaded table has them; not those of the link alone. */
export function leasesOf(seen: Filter | undefined, link: string): string[] {
  const leases = [LEASES[4], LEASES[6]].flatMap((set) => [
    ...(seen?.sets.find(({ name }) => name === set)?.elements ?? []),
  ]);
  return leases
    .filter((lease) => lease.startsWith(`${link} `))
    .map((lease) => lease.slice(lease.lastIndexOf(' ') + 1))
    .filter((address) => !address.startsWith('fe80:'));
}

// ---------------------------------------------------------------- comparing

/** The comment that a rule is loaded with: `overlayd:` and 32 bits of FNV-1a over its text. */
export function ruleMark(rule: string): string {
  const made = marks.get(rule);
  if (made !== undefined) return made;
  if (marks.size === MOST_MARKS) marks.clear();
  const mark = makeMark(rule);
  marks.set(rule, mark);
  return mark;
}

/** Of rules that were asked for. */
const marks = new Map<string, string>();
const MOST_MARKS = 1_024;

function makeMark(rule: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < rule.length; index++) hash = Math.imul(hash ^ rule.charCodeAt(index), 0x01000193);
  return `overlayd:${(hash >>> 0).toString(16).padStart(8, '0')}`;
}

/** The table as a listing of it will be, once it is loaded. */
export function asLoaded(filter: Filter): Filter {
  return {
    ...filter,
    sets: filter.sets.map(({ expression: _, ...each }) => each),
    chains: filter.chains.map((each) => ({ ...each, rules: each.rules.map(ruleMark) })),
  };
}

/** What makes the loaded table (its rules are comments) the wanted one: nothing, other elements, or all anew. */
export function filterOps(at: Place, wanted: Filter, seen: Filter | undefined): Op[] {
  if (!seen) return [{ kind: 'set-filter', at, filter: wanted, isFirst: true }];
  if (!hasSameRules(wanted, seen)) return [{ kind: 'set-filter', at, filter: wanted }];
  const { family } = wanted;
  const differences = wanted.sets.map((each) => ({ each, ...setDifference(each.elements, elementsOf(seen, each)) }));
  const less = differences.map(({ each, extra }) => ({ ...each, elements: extra }));
  const more = differences.map(({ each, missing }) => ({ ...each, elements: missing }));
  const ops: Op[] = [
    { kind: 'remove-elements', at, family, sets: less.filter(({ elements }) => elements.size > 0) },
    { kind: 'add-elements', at, family, sets: more.filter(({ elements }) => elements.size > 0) },
  ];
  return ops.filter((op) => 'sets' in op && op.sets.length > 0);
}

/** Of a set that was made of the other one, by what was changed alone. */
function setDifference(wanted: ReadonlySet<string>, seen: ReadonlySet<string>) {
  if (wanted === seen) return { missing: NO_ELEMENTS, extra: NO_ELEMENTS };
  const change = setChanges.get(wanted);
  const isChanged = change?.of.deref() === seen;
  return {
    missing: without(isChanged ? change.come : wanted, seen),
    extra: without(isChanged ? change.gone : seen, wanted),
  };
}

const NO_ELEMENTS: ReadonlySet<string> = new Set();

function without(elements: Iterable<string>, others: ReadonlySet<string>): ReadonlySet<string> {
  const rest = new Set<string>();
  for (const element of elements) if (!others.has(element)) rest.add(element);
  return rest;
}

/** The same sets, whatever they hold, chains and rules, and no other. */
function hasSameRules(wanted: Filter, seen: Filter): boolean {
  if (seen.sets.length !== wanted.sets.length || seen.chains.length !== wanted.chains.length) return false;
  return (
    wanted.sets.every((each) =>
      seen.sets.some(
        ({ name, type, interval, timeoutSeconds }) =>
          name === each.name &&
          interval === each.interval &&
          timeoutSeconds === each.timeoutSeconds &&
          type.join() === each.type.join(),
      ),
    ) &&
    wanted.chains.every((each) => {
      const other = seen.chains.find(({ name }) => name === each.name);
      return (
        other?.type === each.type &&
        other.hook === each.hook &&
        other.priority === each.priority &&
        other.policy === each.policy &&
        other.rules.length === each.rules.length &&
        each.rules.every((rule, index) => ruleMark(rule) === other.rules[index])
      );
    })
  );
}

function elementsOf({ sets }: Filter, { name }: FilterSet): ReadonlySet<string> {
  return sets.find((each) => each.name === name)?.elements ?? new Set();
}

/** `wanted` with the elements that are already loaded: nothing is taken away. */
export function withLoaded(wanted: Filter, seen: Filter | undefined): Filter {
  const sets = wanted.sets.map((each) => {
    const other = seen?.sets.find(({ name }) => name === each.name);
    return other ? { ...each, elements: new Set([...each.elements, ...other.elements]) } : each;
  });
  return { ...wanted, sets };
}
