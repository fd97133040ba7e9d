/**
 * Finds out what this host lacks, by using it: in a network namespace that is made for it, has no name, and ends when the
 * thread leaves it, whatever becomes of the process. Takes some 10 ms. The kernel loads modules meanwhile, as it does for
 * whoever uses them first.
 */
import type { Lack, Need, Wanted } from '../../core/host-needs.ts';
import { hasLibnftables, type NftablesOutcome, runNftables } from '../native/libnftables.ts';
import { insideNewNamespace } from '../native/namespace.ts';
import { AF, closeDescriptor, openSocket, SOCK } from '../native/socket.ts';
import { dumpFlows } from '../netlink/conntrack.ts';
import { decodeLink, getLink, newBridge, newVeth, newVxlan, setBridgePort, setLink } from '../netlink/link.ts';
import type { Message, Request } from '../netlink/message.ts';
import { listenEverywhere } from '../netlink/monitor.ts';
import { NetlinkSocket, type Outcome } from '../netlink/socket.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/uapi/netlink.ts';

/** The ways to the kernel, of the namespace that the thread is in. */
export interface Ways {
  inNewNamespace<T>(task: () => T): T;
  rtnetlink(requests: readonly Request[], onAnswer: (position: number, message: Message) => void): Outcome[];
  /** Whether other namespaces than the own one are heard. */
  hearsEverywhere(): boolean;
  /** Throws what the kernel refuses. */
  listConnections(): void;
  /** Whether anything of IPv6 can be had. */
  hasIpv6(): boolean;
  hasLibnftables(): boolean;
  nftables(text: string): NftablesOutcome;
}

const BRIDGE = 2;
const PORT = 3;
const link = (name: string, index: number) => ({ name, index, mac: `02:00:00:00:00:0${index}`, mtu: 1_400 });
const FLAGS = {
  ...{ learning: false, flood: false, multicastFlood: false, broadcastFlood: false },
  ...{ locked: true, hairpin: false, isolated: false, neighbourSuppression: false },
};
const TUNNEL = { vni: 1, local: '127.0.0.1', port: 4789, learning: false, proxy: true, ttl: 0, udpChecksum: false };

/** One batch. Of several requests of one need the first that is refused is told. */
const REQUESTS: readonly (readonly [Need, Request])[] = [
  ['vxlan', newVxlan(link('v0', 5), TUNNEL)],
  ['bridge', newBridge(link('b0', BRIDGE), { stp: false, multicastSnooping: false })],
  ['veth', newVeth(link('p0', PORT), link('p1', 4))],
  ['locked-ports', setLink({ index: PORT }, { master: BRIDGE })],
  ['locked-ports', setBridgePort({ index: PORT }, FLAGS)],
  // A kernel may take what it does not know without a word.
  ['locked-ports', getLink({ index: PORT })],
];

const table = (family: string, ...lines: readonly string[]) => `table ${family} probe {\n${lines.join('\n')}\n}\n`;
const chain = (name: string, type: string, hook: string, rules: string) =>
  `chain ${name} { type ${type} hook ${hook}; ${rules}; }`;

/** Each works by itself, and all of them together: parts of what is loaded for networks and for the host. */
const TABLES: readonly (readonly [Need, string])[] = [
  [
    'nftables',
    table(
      'inet',
      'set subnets { type ipv4_addr; flags interval; elements = { 10.0.0.0/24 }; }',
      'set callers { type ipv4_addr; size 1024; flags dynamic,timeout; timeout 60s; }',
      chain('a', 'filter', 'input priority 0', 'ip saddr @subnets update @callers { ip saddr } counter accept'),
    ),
  ],
  [
    'nftables-bridge',
    table(
      'bridge',
      'set leases { type ifname . ether_addr . ipv4_addr; }',
      chain('b', 'filter', 'prerouting priority -300', 'iifname . ether saddr . ip saddr @leases accept'),
    ),
  ],
  ['limit', table('inet', chain('g', 'filter', 'forward priority 0', 'limit rate over 1/second burst 1 packets drop'))],
  ['fib', table('inet', chain('c', 'filter', 'prerouting priority -300', 'fib saddr . iif oif missing drop'))],
  [
    'conntrack',
    table(
      'inet',
      chain('d', 'filter', 'prerouting priority -300', 'notrack'),
      chain('e', 'filter', 'forward priority 0', 'ct state established,related accept'),
    ),
  ],
  ['nat', table('inet', chain('f', 'nat', 'postrouting priority 100', 'masquerade'))],
];

/** Empty: the host has all. Throws where nothing can be tried, as without the right to it. */
export function findLacks({ ipv6 }: Wanted, ways: Ways = realWays): Lack[] {
  try {
    const hearing: readonly Lack[] = ways.hearsEverywhere() ? [] : [{ need: 'broadcast', words: '' }];
    const found = () => [...linksLacking(ways), ...filtersLacking(ways), ...connectionsLacking(ways)];
    const family: readonly Lack[] = ipv6 && !ways.hasIpv6() ? [{ need: 'ipv6', words: '' }] : [];
    return [...hearing, ...family, ...ways.inNewNamespace(found)];
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EINVAL' || code === 'ENOSYS') return [{ need: 'namespaces', words: message }];
    throw error;
  }
}

function linksLacking(ways: Ways): Lack[] {
  let isLocked = false;
  const requests = REQUESTS.map(([, request]) => request);
  const outcomes = ways.rtnetlink(requests, (_, message) => {
    isLocked = decodeLink(message).port?.locked ?? false;
  });
  const lacks = new Map<Need, string>();
  REQUESTS.forEach(([need], at) => {
    const outcome = outcomes[at]!;
    if (!outcome.ok && !lacks.has(need)) lacks.set(need, `${outcome.text}, ${outcome.code}`);
  });
  // There is no port to be locked.
  if (lacks.has('bridge') || lacks.has('veth')) lacks.delete('locked-ports');
  else if (!isLocked && !lacks.has('locked-ports')) lacks.set('locked-ports', '');
  return [...lacks].map(([need, words]) => ({ need, words }));
}

function filtersLacking(ways: Ways): Lack[] {
  if (!ways.hasLibnftables()) return [{ need: 'libnftables', words: '' }];
  if (refusalOf(ways, TABLES.map(([, text]) => text).join('')) === undefined) return [];
  const lacks: Lack[] = [];
  for (const [need, text] of TABLES) {
    const words = refusalOf(ways, text);
    if (words !== undefined) lacks.push({ need, words });
    // Without it there is nothing of the others either.
    if (words !== undefined && need === 'nftables') break;
  }
  return lacks;
}

/** Undefined: there is none. */
function refusalOf(ways: Ways, text: string): string | undefined {
  try {
    const { ok, errors } = ways.nftables(text);
    return ok ? undefined : (errors.trim().split('\n')[0] ?? '');
  } catch (error) {
    return (error as Error).message;
  }
}

function connectionsLacking({ listConnections }: Ways): Lack[] {
  try {
    listConnections();
    return [];
  } catch (error) {
    return [{ need: 'conntrack-netlink', words: (error as Error).message }];
  }
}

// ---------------------------------------------------------------- the real ones

const realWays: Ways = {
  inNewNamespace: insideNewNamespace,
  rtnetlink: (requests, onAnswer) => withSocket(NETLINK_ROUTE, (socket) => socket.request(requests, onAnswer)),
  hearsEverywhere() {
    const fd = openSocket(AF.NETLINK, SOCK.RAW, NETLINK_ROUTE);
    try {
      return listenEverywhere(fd);
    } finally {
      closeDescriptor(fd);
    }
  },
  listConnections() {
    withSocket(NETLINK_NETFILTER, (socket) => socket.dump(dumpFlows(), () => undefined));
  },
  hasIpv6() {
    try {
      closeDescriptor(openSocket(AF.INET6, SOCK.DGRAM, 0));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw error;
      return false;
    }
  },
  hasLibnftables,
  nftables: (text) => runNftables(undefined, text),
};

function withSocket<T>(protocol: number, task: (socket: NetlinkSocket) => T): T {
  const socket = new NetlinkSocket({ protocol });
  try {
    return task(socket);
  } finally {
    socket.close();
  }
}
