/**
 * What a network's table has besides where the network has IPv6. Neighbour discovery (RFC 4861) is ICMPv6, of which a container
 * may say what is of itself: that it has an address. That somebody is a router, or knows a better way, nobody may say.
 * Solicitations go to a group, which ends at the tunnel and is answered there, and at the gateway.
 */
import type { DesiredNetwork, DesiredPort } from '../host-state.ts';
import { isIpv4, linkLocalOf, requireIp } from '../ip.ts';
import type { FilterSet } from '../packet-filter.ts';
import { LEASES, set } from './filter.ts';
import { gatewayMac } from './naming.ts';
import { isMulticast } from './wanted.ts';

/** The leases as numbers, for what neighbour advertisements are of: nft 1.0.6 has no name for that field. */
const TARGETS = 'targets';
const TARGET = 'iifname . ether saddr . @th,64,128';
/** MACs of groups of IPv6 (RFC 2464, section 7). */
const MASK = 'ff:ff:00:00:00:00';
const GROUPS = '33:33:00:00:00:00';
const DISCOVERY = '{ nd-neighbor-solicit, nd-neighbor-advert }';

/**
 * As `neigh_reduce` of drivers/net/vxlan takes them: without extension headers, of code 0, and with a target, which is asked for
 * to see that it is there. Any other would go to all hosts.
 */
const SOLICITATION = 'ip6 nexthdr 58 icmpv6 type nd-neighbor-solicit icmpv6 code 0 @th,64,128 != 0x0 accept';

/**
 * Who cuts a packet within its headers keeps from the first part what it is of (RFC 7112), and so from whatever asks for
 * ports or types. A fragment says which header follows its own: of these, which lead on to others, nobody honest sends one.
 */
const CUT_HEADERS = 'frag nexthdr { 0, 43, 44, 60 }';

export interface Ipv6Filter {
  readonly sets: readonly FilterSet[];
  /** What nobody may send. */
  readonly nobody: readonly string[];
  /** Of both families: what does not go to the gateway, or would come back from there, is dropped. */
  readonly toGateway: readonly string[];
  /** What goes to the gateway and has nothing to do with names is dropped. */
  readonly namesAlone: readonly string[];
  /** Solicitations as the tunnel's device answers them. */
  readonly solicitation: string;
  /** Where groups reach containers: of discovery, what goes to a group ends at the tunnel. */
  readonly discovery: (tunnel: string) => readonly string[];
  /** What a port may send as itself, after the rest. */
  readonly own: readonly string[];
}

export function ipv6Filter(network: DesiredNetwork, ports: readonly DesiredPort[]): Ipv6Filter {
  const gateway = gatewayMac(network);
  const subnets = network.subnets.filter((subnet) => !isIpv4(subnet.gateway));
  const blocks = [...subnets.map(({ cidr }) => cidr), 'fe80::/10'].join(', ');
  const gateways = [...subnets.map((subnet) => subnet.gateway), linkLocalOf(gateway)].join(', ');
  const gatewayAlone = `ether daddr ${gateway}`;
  const toGroups = `ether daddr & ${MASK} == ${GROUPS}`;
  // What else is for groups the gateway does not get, where groups reach other containers.
  const ways = isMulticast(network) ? [gatewayAlone] : [gatewayAlone, toGroups];
  return {
    sets: setsOf(ports),
    nobody: ['icmpv6 type { nd-router-advert, nd-redirect } counter drop'],
    toGateway: [
      `ether daddr != { ${gateway}, ff:ff:ff:ff:ff:ff } ether daddr & ${MASK} != ${GROUPS} counter drop`,
      `ip6 daddr { ${blocks} } ip6 daddr != { ${gateways} } counter drop`,
    ],
    namesAlone: [
      ...ways.map((way) => `${way} ${CUT_HEADERS} counter drop`),
      `ether type ip6 ${gatewayAlone} meta l4proto != { tcp, udp, ipv6-icmp } counter drop`,
      ...(isMulticast(network) ? [] : [`ether type ip6 ${toGroups} meta l4proto != ipv6-icmp counter drop`]),
      ...ways.map((way) => `${way} icmpv6 type != ${DISCOVERY} counter drop`),
    ],
    solicitation: SOLICITATION,
    discovery: (tunnel) => [
      'icmpv6 type nd-neighbor-advert drop',
      `oifname != "${tunnel}" icmpv6 type nd-neighbor-solicit drop`,
    ],
    own: [
      `icmpv6 type nd-neighbor-advert ${TARGET} != @${TARGETS} counter drop`,
      `iifname . ether saddr . ip6 saddr @${LEASES[6]} accept`,
    ],
  };
}

/** A port may also use the link-local address that belongs to its MAC; the kernel in the container makes it. */
function setsOf(ports: readonly DesiredPort[]): FilterSet[] {
  const leases = ports.flatMap(({ link, mac, addresses }) => {
    const own = addresses.map(({ address }) => address).filter((address) => !isIpv4(address));
    const all = own.length === 0 ? [] : [...own, linkLocalOf(mac)];
    return all.map((address) => ({ port: `${link} ${mac}`, address }));
  });
  return [
    set(
      LEASES[6],
      ['ifname', 'ether_addr', 'ipv6_addr'],
      leases.map(({ port, address }) => `${port} ${address}`),
    ),
    {
      ...set(
        TARGETS,
        ['ifname', 'ether_addr', 'integer'],
        leases.map(({ port, address }) => `${port} 0x${requireIp(address, 'address').value.toString(16)}`),
      ),
      expression: TARGET,
    },
  ];
}
