/** What `ip` and `bridge` are told (batch lines) and what they say (JSON). Written for iproute2 6.1, tried there. */
import { OverlaydError } from '../../core/errors.ts';
import {
  type Address,
  type FdbRow,
  HOST,
  type Link,
  LOOPBACK,
  type Neighbour,
  type Op,
  type Place,
  type PortFlags,
  ROUTE_PROTOCOL,
  type Route,
  SERVICE_ADDRESS,
  TUNNEL,
} from '../../core/host-state.ts';
import { isNetworkNamespace, isUplink, namespaceOf } from '../../core/plan/naming.ts';

export interface Line {
  readonly text: string;
  /** What the tool may say and still have done its part: the thing to be removed is gone, the kernel has no IPv6. */
  readonly tolerated?: RegExp;
}

export type Tool = 'ip' | 'bridge' | 'nft' | 'sysctl' | 'perl';

/** Ids of our namespaces begin here: ids that others let the kernel choose count from 0. */
const NAMESPACE_ID_BASE = 2 ** 30;
/** VNIs have 24 bits. */
const VNI_SPAN = 2 ** 24;
/**
 * Ids that a network's namespace may have. A process that stays in a namespace whose name was removed keeps that one and
 * its id alive, so the next namespace of the network takes another.
 */
const IDS_PER_VNI = 8;
/** Words of kernels and tools of several years: Linux 5.15 to 6.18, iproute2 6.1 to 7.2. */
const GONE =
  /No such (file or directory|process|device)|Cannot find device|Cannot assign requested address|Cannot open network namespace|[Aa]ddress not found/;
const NO_IPV6 = /Address family not supported|Operation not supported|IPv6 is disabled/;
const EXISTS = /File exists/;
const HAS_ID = /File exists|already has a nsid/;
const ID_TAKEN = /nsid is already used/;
/** There is nothing at the name, or no namespace, as `ip` or `nsenter` says it. */
const NO_NAMESPACE =
  /[Cc]annot open .*No such file|setting the network namespace .*Invalid argument|nsenter: .*failed: Invalid argument/;

/** The `nth` id of a network's namespace. */
export function namespaceId(vni: number, nth = 0): number {
  return NAMESPACE_ID_BASE + nth * VNI_SPAN + vni;
}

/** Not positive when it is none of ours. */
export function vniOfNamespaceId(id: number): number {
  return id < NAMESPACE_ID_BASE ? 0 : (id - NAMESPACE_ID_BASE) % VNI_SPAN;
}

/** Gives the namespace an id, should it have none. */
export function renderIdentity(name: string, vni: number): Line[] {
  return Array.from({ length: IDS_PER_VNI }, (_, nth) => ({
    text: `netns set ${word(name)} ${namespaceId(vni, nth)}`,
    tolerated: nth < IDS_PER_VNI - 1 ? new RegExp(`${HAS_ID.source}|${ID_TAKEN.source}`) : HAS_ID,
  }));
}

/** Whether a tool that was to enter a namespace says that there is none. */
export function isNoNamespace(stderr: string): boolean {
  return NO_NAMESPACE.test(stderr);
}

/** An argument of a batch line. Names and addresses were checked where they came in; this keeps a line one line. */
function word(text: string): string {
  if (!/^[\w./:@+-]+$/.test(text))
    throw new OverlaydError('internal', `"${text}" cannot be an argument of ip or bridge`);
  return text;
}

/** The namespace in which an op's lines run: devices are made from the host's, straight into their own. */
export function placeOf(op: Op): Place {
  return op.kind === 'add-vxlan' || op.kind === 'add-namespace' || op.kind === 'delete-namespace' ? HOST : op.at;
}

export function toolOf(op: Op): Tool {
  if (op.kind.endsWith('-filter') || op.kind.endsWith('-elements')) return 'nft';
  if (op.kind === 'set-sysctl') return 'sysctl';
  if (op.kind === 'forget-flows') return 'perl';
  return op.kind === 'set-fdb' || op.kind === 'delete-fdb' ? 'bridge' : 'ip';
}

/** Lines for `ip -batch`. */
export function renderIp(op: Op): Line[] {
  switch (op.kind) {
    case 'add-namespace':
      return [{ text: `netns add ${word(op.name)}`, tolerated: EXISTS }, ...renderIdentity(op.name, op.id)];
    case 'delete-namespace':
      return [{ text: `netns delete ${word(op.name)}`, tolerated: GONE }];
    case 'add-vxlan': {
      const { vni, local, port, learning, proxy } = op.vxlan;
      const flags = `${learning ? 'learning' : 'nolearning'} ${proxy ? 'proxy' : 'noproxy'}`;
      // Outer UDP checksums stay on: receivers then merge packets (GRO) without looking at the inner ones.
      const kind = `type vxlan id ${vni} local ${word(local)} dstport ${port} ${flags} ttl 64 udpcsum`;
      return [
        { text: `link add name ${word(op.name)} address ${word(op.mac)} mtu ${op.mtu} netns ${word(op.at)} ${kind}` },
      ];
    }
    case 'add-bridge': {
      const kind = 'type bridge stp_state 0 mcast_snooping 0';
      return [{ text: `link add name ${word(op.name)} address ${word(op.mac)} mtu ${op.mtu} ${kind}` }];
    }
    case 'add-veth': {
      const { end, peer, mtu } = op;
      const ours = `name ${word(end.name)} address ${word(end.mac)} mtu ${mtu}`;
      const theirs = `name ${word(peer.name)} address ${word(peer.mac)} mtu ${mtu} netns ${word(peer.at)}`;
      return [{ text: `link add ${ours} type veth peer ${theirs}` }];
    }
    case 'delete-link':
      return [{ text: `link delete dev ${word(op.name)}`, tolerated: GONE }];
    case 'set-link': {
      const { mac, mtu, master, up, noIpv6 } = op.set;
      const changes = [
        ...(mac === undefined ? [] : [`address ${word(mac)}`]),
        ...(mtu === undefined ? [] : [`mtu ${mtu}`]),
        ...(master === undefined ? [] : [`master ${word(master)}`]),
        ...(up ? ['up'] : []),
      ];
      const link = `link set dev ${word(op.name)}`;
      return [
        // On a line of its own: in one with `up`, the link comes up first.
        ...(noIpv6 ? [{ text: `${link} addrgenmode none`, tolerated: NO_IPV6 }] : []),
        ...(changes.length > 0 ? [{ text: `${link} ${changes.join(' ')}` }] : []),
      ];
    }
    case 'set-port':
      return [{ text: `link set dev ${word(op.name)} type bridge_slave ${renderFlags(op.flags)}` }];
    case 'add-address':
      return [{ text: `address replace ${renderAddress(op.address)}` }];
    case 'delete-address':
      return [{ text: `address delete ${renderAddress(op.address)}`, tolerated: GONE }];
    case 'set-route':
      return [{ text: `route replace ${renderRoute(op.route)}` }];
    case 'delete-route':
      return [{ text: `route delete ${renderRoute(op.route)}`, tolerated: GONE }];
    case 'set-neighbour': {
      const { link, address, mac } = op.neighbour;
      return [{ text: `neighbour replace ${word(address)} lladdr ${word(mac)} dev ${word(link)} nud permanent` }];
    }
    case 'delete-neighbour': {
      const { link, address } = op.neighbour;
      return [{ text: `neighbour delete ${word(address)} dev ${word(link)}`, tolerated: GONE }];
    }
    default:
      throw new OverlaydError('internal', `${op.kind} is not an op of ip`);
  }
}

/**
 * Lines for `ip -batch` that delete several links at once: one for each, and one that ends them all. `group`: one that no
 * link is in.
 */
export function renderGroupDeletion(
  ops: readonly Op[],
  group: number,
): { readonly marks: readonly Line[]; readonly end: Line } {
  const marks = ops.map((op): Line => {
    if (op.kind !== 'delete-link') throw new OverlaydError('internal', `${op.kind} deletes no link`);
    return { text: `link set dev ${word(op.name)} group ${group}`, tolerated: GONE };
  });
  // Without a link in the group there is nothing left to delete.
  return { marks, end: { text: `link delete group ${group}`, tolerated: GONE } };
}

/** A line for `bridge -batch`. */
export function renderBridge(op: Op): Line {
  if (op.kind !== 'set-fdb' && op.kind !== 'delete-fdb') {
    throw new OverlaydError('internal', `${op.kind} is not an op of bridge`);
  }
  const { link, mac, vtep, port } = op.row;
  const target =
    vtep === undefined
      ? 'master static'
      : `dst ${word(vtep)}${port === undefined ? '' : ` port ${port}`} self permanent`;
  const row = `${word(mac)} dev ${word(link)} ${target}`;
  return op.kind === 'set-fdb' ? { text: `fdb replace ${row}` } : { text: `fdb delete ${row}`, tolerated: GONE };
}

function renderFlags(flags: PortFlags): string {
  const onOff = (on: boolean) => (on ? 'on' : 'off');
  return [
    `learning ${onOff(flags.learning)}`,
    `flood ${onOff(flags.flood)}`,
    `mcast_flood ${onOff(flags.multicastFlood)}`,
    `bcast_flood ${onOff(flags.broadcastFlood)}`,
    `locked ${onOff(flags.locked)}`,
  ].join(' ');
}

function renderAddress({ link, address, prefix }: Address): string {
  // Of host scope it is never the source of what leaves through a link without addresses, as uplinks are.
  const scope = address === SERVICE_ADDRESS ? ' scope host' : '';
  return `${word(address)}/${prefix} dev ${word(link)}${scope}`;
}

function renderRoute({ destination, gateway, link, protocol, metric: given }: Route): string {
  const via = gateway === undefined ? '' : ` via ${word(gateway)}`;
  // A next hop of ours may lie outside every subnet of the link; a foreign route that goes is named as it is.
  const onlink = protocol === ROUTE_PROTOCOL && gateway !== undefined ? ' onlink' : '';
  // Beside a route of the host's own to the same subnet, and not in its place: that one wins.
  const value = given ?? (protocol === ROUTE_PROTOCOL && isUplink(link) ? UPLINK_METRIC : undefined);
  const metric = value === undefined ? '' : ` metric ${value}`;
  return `${word(destination)}${via} dev ${word(link)} proto ${word(protocol)}${onlink}${metric}`;
}

/** Behind whatever a host has of its own. */
const UPLINK_METRIC = 4_000;

// ---------------------------------------------------------------- dumps

/** For `ip -4 -j -d -force -batch -`: one line of JSON each. */
export const DUMP_NETWORK = ['link show', 'address show', 'route show', 'neighbour show nud permanent', 'netconf show'];
export const LIST_NAMESPACES = 'netns list';
/**
 * `netns list` is last because it says nothing at all when there is none; the loopback is first because after `link
 * show` iproute2 6.1 tells no addresses of a device that is named.
 */
export const DUMP_HOST = [
  `address show dev ${LOOPBACK}`,
  'link show type veth',
  'address show type veth',
  `route show proto ${ROUTE_PROTOCOL}`,
  'neighbour show nud permanent',
  'netconf show',
  LIST_NAMESPACES,
];
export const DUMP_CONTAINER = ['link show', 'address show', 'route show default'];

type Json = Record<string, unknown>;

/** What each line of a batch said. */
export function splitDump(stdout: string): string[] {
  return stdout.split('\n').filter((line) => line.startsWith('['));
}

export function parseRows(text: string): Json[] {
  return text === '' ? [] : (JSON.parse(text) as Json[]);
}

export function parseDump(stdout: string): Json[][] {
  return splitDump(stdout).map(parseRows);
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export function parseLinks(dump: readonly Json[] = []): Map<string, Link> {
  const links = new Map<string, Link>();
  for (const row of dump) {
    const info = record(row.linkinfo);
    const name = text(row.ifname);
    links.set(name, {
      name,
      kind: text(info.info_kind),
      mac: text(row.address),
      mtu: number(row.mtu),
      up: list(row.flags).includes('UP'),
      master: text(row.master) || undefined,
      vxlan: info.info_kind === 'vxlan' ? parseVxlan(record(info.info_data)) : undefined,
      port: info.info_slave_kind === 'bridge' ? parseFlags(record(info.info_slave_data)) : undefined,
      index: number(row.ifindex),
      peerIndex: number(row.link_index),
    });
  }
  return links;
}

function parseVxlan(data: Json) {
  return {
    vni: number(data.id),
    local: text(data.local),
    port: number(data.port),
    learning: data.learning === true,
    proxy: data.proxy === true,
  };
}

function parseFlags(data: Json): PortFlags {
  return {
    learning: data.learning === true,
    flood: data.flood === true,
    multicastFlood: data.mcast_flood === true,
    broadcastFlood: data.bcast_flood === true,
    locked: data.locked === true,
  };
}

/** Addresses of `lo` but one are left out: they are nobody's business here. */
export function parseAddresses(dump: readonly Json[] = []): Address[] {
  const all = dump.flatMap((row) =>
    list(row.addr_info).map((entry) => ({
      link: text(row.ifname),
      address: text(record(entry).local),
      prefix: number(record(entry).prefixlen),
    })),
  );
  return all.filter(({ link, address }) => link !== LOOPBACK || address === SERVICE_ADDRESS);
}

/** Routes that the kernel made by itself are left out. A dump of one protocol does not repeat which: ours. */
export function parseRoutes(dump: readonly Json[] = []): Route[] {
  return dump
    .filter((row) => row.protocol !== 'kernel')
    .map((row) => ({
      destination: text(row.dst),
      gateway: text(row.gateway) || undefined,
      link: text(row.dev),
      protocol: text(row.protocol) || ROUTE_PROTOCOL,
    }));
}

export function parseNeighbours(dump: readonly Json[] = []): Neighbour[] {
  return dump.map((row) => ({ link: text(row.dev), address: text(row.dst), mac: text(row.lladdr) }));
}

export function parseForwarding(dump: readonly Json[] = []): boolean {
  return dump.some((row) => row.family === 'inet' && row.interface === 'all' && row.forwarding === true);
}

/** Rows that someone wrote: the bridge's own (`permanent`, one per link) and multicast subscriptions are left out. */
export function parseFdb(dump: readonly Json[] = []): FdbRow[] {
  return dump.flatMap((row): FdbRow[] => {
    const base = { link: text(row.ifname), mac: text(row.mac) };
    if (base.link === TUNNEL && typeof row.dst === 'string') {
      return [{ ...base, vtep: row.dst, port: typeof row.port === 'number' ? row.port : undefined }];
    }
    return row.master !== undefined && row.state === 'static' ? [base] : [];
  });
}

/** Those with names of networks' namespaces. */
export function parseNamespaces(dump: readonly Json[] = []): Map<string, 'ours' | 'none' | 'foreign'> {
  const whose = ({ name, id }: Json) => {
    if (typeof id !== 'number') return 'none';
    return namespaceOf(vniOfNamespaceId(id)) === name ? 'ours' : 'foreign';
  };
  return new Map(dump.filter((row) => isNetworkNamespace(text(row.name))).map((row) => [text(row.name), whose(row)]));
}
