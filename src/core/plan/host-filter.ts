/**
 * The host's nftables table: what reaches this host, what leaves it, and what passes through. What changes is in sets,
 * rules are constant text.
 *
 * Data ports (VXLAN, UDP). A packet says by its source alone that it is a member's, so the hosts see to it that it is one:
 * - Here comes in what is from a member's tunnel end to ours. A member's address that comes from the link of a container
 *   (a bridge, a veth, a tun) although the way back to it is another one is forged.
 * - Nothing leaves for a data port that is not the kernel's own VXLAN: what a process sends has an owner, VXLAN has none;
 *   what is forwarded stops before a member's data port, and, for members that are not known yet, wherever it would leave
 *   as ours by source NAT. Packets between two other members that are routed through this host pass.
 *
 * - Nor what a tunnel's device says for itself: with IPv6 the kernel tells of its groups on every link (RFC 3810).
 *
 * - Of encrypted networks nothing comes or goes by these ports: what does all the same is dropped and counted, what comes in by
 *   its source as well, so that it is seen. Nothing depends on it, since their tunnels have no socket here.
 *
 * Control ports (TCP): members only on gossip and on the bundled etcd. Who is to join is not known yet, so anybody may
 * call the join port but containers. Out of tunnels come members alone. Whoever does is let in to the others for a minute: members of an address that this
 * host does not know, be it new, changed, or not the advertised one of several; they have to prove what they are anyway. Members
 * of the bundled etcd believe whoever has a member's certificate, so they speak with the hosts that keep the store alone: with no
 * caller, and not on connections that stand either.
 *
 * The rest: what comes in through one uplink does not go out through another, but to a port that is published here; nothing is
 * opened from outside but what the host itself translates to a container's address (ports published here, `published.ts`,
 * among them), and ports that were published of a network that is routed; what leaves is masqueraded where its network wants
 * that; through the uplink of a network without a way out, which is there where the host itself has an address on it, nothing is
 * forwarded at all; an address that the host itself has on a network is for that network and for the host alone, or neighbours
 * on the underlay, and other networks, would reach what listens there; the service address is for this host and what is behind its bridges, or neighbours on the underlay would have an open resolver.
 *
 * Members' addresses may be of either family; sets and rules are there for those families that the cluster has.
 */
import { type Desired, SERVICE_ADDRESS } from '../host-state.ts';
import { FAMILIES, type Family, familyOfAddress, isIpv4 } from '../ip.ts';
import type { Filter } from '../packet-filter.ts';
import type { Uplink } from '../uplink.ts';
import { CONTROL_LINK, CONTROL_POOL } from '../wireguard/state.ts';
import { chain, EARLY, HEADER as IP, LATE, RAW, SRCNAT, set, ADDRESS_TYPE as TYPES } from './filter.ts';
import { uplinkOf } from './naming.ts';
import { publishedRules } from './published.ts';

/** How long the way to the control ports stays open to whoever called the join port. */
const CALLER_SECONDS = 60;
/** How long a source of packets in clear is counted after its last one. */
const STRAY_SECONDS = 3_600;
/** What containers hang on, and some hosts' underlay as well. */
const SOFT_LINK = 'meta iifkind { "bridge", "tun", "veth" }';
/** Sockets of processes have an owner, and no owner has this number. */
const OF_A_PROCESS = 'meta skuid != 4294967295';
/** Behind UDP's header and VXLAN's an inner frame to a group of IPv6 (RFC 2464) whose source is a `tunnelMac`. */
const FROM_A_TUNNEL = '@th,128,16 0x3333 @th,176,24 0x0a6f76';
/** Behind UDP's header and the first word of VXLAN's (RFC 7348, section 5). */
const VNI = '@th,96,24';
const FROM_TUNNELS = `iifname "${CONTROL_LINK}"`;
/** What callers send to a container by a port of the host, whoever translates it: counted. */
const PUBLISHED = 'oifname @uplinks ct status dnat ct direction original counter';
const OPENS = 'tcp flags & (syn | ack) == syn';

const elementOf = ({ address, protocol, port }: Uplink['opened'][number]) => `${address} ${protocol} ${port}`;

/**
 * `provesAbsence: false`: the view may lack members. Then the control ports are not closed: members that have lost sight of
 * each other find each other through them.
 */
export function hostFilter(desired: Desired, provesAbsence: boolean): Filter {
  const { vtep, port, members, control, uplinks, encrypted, serviceAddress } = desired;
  const { address, joinPort, gossipPort, store } = control;
  const subnets = uplinks.flatMap(({ masqueraded }) => masqueraded);
  const opened = uplinks.flatMap((uplink) => uplink.opened);
  const all = [address, vtep, ...members.flatMap((member) => [member.address, member.vtep])];
  const families = FAMILIES.filter((family) => all.some(of(family)));
  const own = new Map(FAMILIES.map((family) => [family, [...new Set([address, vtep])].filter(of(family)).join(', ')]));
  /** Rules that there are for each family of whose addresses this host has one to be called at. */
  const called = (rules: (family: Family, addresses: string) => readonly string[]) =>
    families.flatMap((family) => (own.get(family) ? rules(family, own.get(family)!) : []));
  const perFamily = (rules: (family: Family) => readonly string[]) => families.flatMap(rules);
  const family = isIpv4(vtep) ? 4 : 6;
  const [ip, sources] = [IP[family], nameOf('members', family)];
  const ofMembers = `udp dport ${port} ${ip} saddr @${sources} ${ip} daddr ${vtep}`;
  const inClear = (way: string) => (encrypted.length > 0 ? [`${way} ${VNI} @encrypted counter drop`] : []);
  const publishing = publishedRules(desired);
  const sealed = uplinks.filter((uplink) => uplink.sealed).map(({ vni }) => uplinkOf(vni));
  const closed = [gossipPort, ...(store?.here ? [store.port] : [])];
  const ofStore = store ? [store.port, store.peers.port] : [];
  const theirs = members.flatMap((member) => [member.joinPort, member.gossipPort]);
  return {
    family: 'inet',
    sets: [
      ...families.map((family) =>
        set(nameOf('members', family), [TYPES[family]], members.map((member) => member.vtep).filter(of(family))),
      ),
      set('ports', ['inet_service'], [port, ...members.map((member) => member.port)].map(String)),
      ...families.map((family) =>
        set(
          nameOf('peers', family),
          [TYPES[family]],
          members.flatMap((member) => [member.address, member.vtep]).filter(of(family)),
        ),
      ),
      set('control', ['inet_service'], [joinPort, gossipPort, ...ofStore, ...theirs].map(String)),
      set('closed', ['inet_service'], provesAbsence ? closed.map(String) : []),
      set('kept', ['inet_service'], provesAbsence && store?.here ? [String(store.peers.port)] : []),
      ...families.map((family) =>
        set(nameOf('keepers', family), [TYPES[family]], (store?.here ? store.peers.addresses : []).filter(of(family))),
      ),
      ...families.map((family) => ({
        ...set(nameOf('callers', family), [TYPES[family]], []),
        timeoutSeconds: CALLER_SECONDS,
      })),
      ...(encrypted.length > 0
        ? [
            { ...set('encrypted', ['integer'], encrypted.map(String)), expression: VNI },
            { ...set('strays', [TYPES[family]], []), timeoutSeconds: STRAY_SECONDS },
          ]
        : []),
      set('services', ['ipv4_addr'], serviceAddress ? [SERVICE_ADDRESS] : []),
      set(
        'uplinks',
        ['ifname'],
        uplinks.map(({ vni }) => uplinkOf(vni)),
      ),
      ...(sealed.length > 0 ? [set('sealed', ['ifname'], sealed)] : []),
      set(
        'opened',
        ['ipv4_addr', 'inet_proto', 'inet_service'],
        opened.filter(({ address }) => isIpv4(address)).map(elementOf),
      ),
      set(
        'opened6',
        ['ipv6_addr', 'inet_proto', 'inet_service'],
        opened.filter(({ address }) => !isIpv4(address)).map(elementOf),
      ),
      { ...set('subnets', ['ipv4_addr'], subnets.filter(isIpv4Cidr)), interval: true },
      {
        ...set(
          'subnets6',
          ['ipv6_addr'],
          subnets.filter((cidr) => !isIpv4Cidr(cidr)),
        ),
        interval: true,
      },
      ...publishing.sets,
    ],
    chains: [
      chain('input', 'input', RAW, 'accept', [
        // By itself: where the set is full, the rest of the rule is not done.
        ...(encrypted.length > 0 ? [`udp dport ${port} ${VNI} @encrypted update @strays { ${ip} saddr counter }`] : []),
        ...inClear(`udp dport ${port}`),
        `${ofMembers} counter accept`,
        `udp dport ${port} counter drop`,
        'ip daddr @services iifname "lo" accept',
        'ip daddr @services meta iifkind "bridge" accept',
        'ip daddr @services counter drop',
        ...FAMILIES.filter((family) => !own.get(family)).map(
          (family) => `tcp dport ${joinPort} ${SOFT_LINK} meta nfproto ipv${family} counter drop`,
        ),
        ...called((family, addresses) => [
          `tcp dport ${joinPort} ${SOFT_LINK} ${IP[family]} daddr != { ${addresses} } counter drop`,
        ]),
        `tcp dport ${joinPort} ${SOFT_LINK} fib daddr . iif type != local counter drop`,
        ...called((family) => [
          `tcp dport ${joinPort} update @${nameOf('callers', family)} { ${IP[family]} saddr } accept`,
        ]),
        'tcp dport @closed iifname "lo" accept',
        // Out of a tunnel comes what is from the member whose address it bears.
        `tcp dport @closed ${FROM_TUNNELS} ip saddr ${CONTROL_POOL} accept`,
        // At the address that members are told alone: to others, containers of members come with their hosts' addresses.
        ...called((family, addresses) =>
          ['peers', 'callers'].map(
            (who) =>
              `tcp dport @closed ${IP[family]} daddr { ${addresses} } ${IP[family]} saddr @${nameOf(who, family)} accept`,
          ),
        ),
        // Connections that stand go on, whoever became unknown meanwhile.
        `tcp dport @closed ${OPENS} counter drop`,
        'tcp dport @kept iifname "lo" accept',
        ...called((family, addresses) => [
          `tcp dport @kept ${IP[family]} daddr { ${addresses} } ${IP[family]} saddr @${nameOf('keepers', family)} accept`,
        ]),
        `tcp dport @kept counter drop`,
      ]),
      chain('prerouting', 'prerouting', RAW, 'accept', [
        `udp dport @ports ${ip} saddr @${sources} ${SOFT_LINK} fib saddr . iif oif missing counter drop`,
        `${ip} daddr ${vtep} udp dport ${port} notrack`,
        ...uplinks.flatMap(offNetwork),
      ]),
      chain('output', 'output', RAW, 'accept', [
        `${ip} saddr ${vtep} udp dport @ports ${OF_A_PROCESS} counter drop`,
        `${ip} saddr ${vtep} udp dport @ports ${FROM_A_TUNNEL} counter drop`,
        ...inClear('udp dport @ports'),
        `${ip} saddr ${vtep} ${ip} daddr @${sources} udp dport @ports notrack`,
      ]),
      chain('forward', 'forward', EARLY, 'accept', [
        ...perFamily((family) => {
          const [way, members] = [IP[family], nameOf('members', family)];
          return [`udp dport @ports ${way} daddr @${members} ${way} saddr != @${members} counter drop`];
        }),
        ...(sealed.length > 0 ? ['iifname @sealed counter drop', 'oifname @sealed counter drop'] : []),
        PUBLISHED,
        ...publishing.forward,
        'iifname @uplinks oifname @uplinks drop',
        // The way to the tunnels is for what processes of the host say, and for them.
        `iifname "${CONTROL_LINK}" counter drop`,
        `oifname "${CONTROL_LINK}" counter drop`,
        // Source NAT or not: see `departure`.
        ...perFamily((family) => [
          `iifname @uplinks ${IP[family]} daddr @${nameOf('peers', family)} tcp dport @control counter drop`,
        ]),
        'iifname @uplinks counter',
        'oifname @uplinks ct state established,related accept',
        // What rules of the host translate to a container is what root here wants: a plugin that publishes ports.
        'oifname @uplinks ct status dnat accept',
        'oifname @uplinks ip daddr . meta l4proto . th dport @opened accept',
        'oifname @uplinks ip6 daddr . meta l4proto . th dport @opened6 accept',
        'oifname @uplinks drop',
      ]),
      // What is counted here as well has passed every other table of the host: see `firewall-watch.ts`.
      chain('admitted', 'input', LATE, 'accept', [`${ofMembers} counter`]),
      chain('passed', 'forward', LATE, 'accept', ['iifname @uplinks counter', PUBLISHED]),
      {
        ...chain('postrouting', 'postrouting', SRCNAT, 'accept', [
          'ip saddr @subnets oifname != @uplinks masquerade',
          'ip6 saddr @subnets6 oifname != @uplinks masquerade',
        ]),
        type: 'nat',
      },
      ...publishing.chains,
      // After all source NAT, whoever does it.
      chain('departure', 'postrouting', SRCNAT + 10, 'accept', [
        `${ip} saddr ${vtep} udp dport @ports ct status snat counter drop`,
        // The agent's own connections have an owner, whatever the host's NAT does with them.
        ...perFamily((family) => {
          const theirs = `${IP[family]} daddr @${nameOf('peers', family)} tcp dport @control`;
          return [`${theirs} ${OF_A_PROCESS} accept`, `${theirs} ct status snat counter drop`];
        }),
      ]),
    ],
  };
}

/** What is for the host's own address on a network, and came neither from there nor from the host itself. */
function offNetwork({ vni, exposed }: Uplink): string[] {
  const elsewhere = `iifname != { "lo", "${uplinkOf(vni)}" }`;
  return exposed.map((address) => `${elsewhere} ${IP[familyOfAddress(address)]} daddr ${address} counter drop`);
}

function nameOf(set: string, family: Family): string {
  return family === 4 ? set : `${set}6`;
}

function of(family: Family): (address: string) => boolean {
  return (address) => isIpv4(address) === (family === 4);
}

function isIpv4Cidr(cidr: string): boolean {
  return !cidr.includes(':');
}
