/**
 * The way between the host and the tunnels, for control connections alone: a veth leads from {@link WIREGUARD_PLACE} to the host,
 * whose end has this host's control addresses. Members reach those behind NAT by it, and are reached by them; it is there only in
 * clusters that have one.
 *
 * What encrypted networks rest upon is that nothing comes to VXLAN's socket in there but from the tunnels. So the table is there
 * before the veth is: from the veth nothing comes in, nothing that is sent in there leaves by it, and what is passed on is TCP of
 * control ports, between control addresses. That what comes out of a tunnel is from whose address it bears, WireGuard sees to.
 */
import type { ClusterView } from '../cluster-view.ts';
import { type Address, HOST, type Link, type Op, ROUTE_PROTOCOL, type Route } from '../host-state.ts';
import type { Filter } from '../packet-filter.ts';
import { chain, EARLY, filterOps, set, withLoaded } from '../plan/filter.ts';
import { isPair, linkOps } from '../plan/link.ts';
import { rowsOps } from '../plan/rows.ts';
import { controlOf } from './addresses.ts';
import { CONTROL_LINK, CONTROL_POOL, WIREGUARD_PLACE } from './state.ts';

/** Its end among the tunnels. */
export const CONTROL_INSIDE = 'control';
/** Of the end inside: the next hop of the host. Nobody's number is 0. */
const GATEWAY = '198.19.0.0';
const MACS = { host: '06:6f:76:00:00:00', inside: '02:6f:76:00:00:00' } as const;
const TUNNELS = '"ovlwg*"';
const BETWEEN = `ip saddr ${CONTROL_POOL} ip daddr ${CONTROL_POOL}`;

export interface ControlWay {
  /** Of this host, that by which it calls first: while a key is exchanged it has two. */
  readonly addresses: readonly string[];
  /** TCP, of all members. */
  readonly ports: readonly number[];
}

export interface SeenSide {
  readonly links: ReadonlyMap<string, Link>;
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
}

export interface SeenControlWay {
  readonly host: SeenSide;
  readonly inside: SeenSide & { readonly forwarding: boolean; readonly filter: Filter | undefined };
}

/** Undefined: there is to be none, since nobody is behind NAT, or this host has no key yet. `storePort`: of the bundled etcd. */
export function wantedControlWay(
  view: Pick<ClusterView, 'nodes' | 'node'>,
  selfId: string,
  storePort: number | undefined,
): ControlWay | undefined {
  const keys = view.node(selfId)?.wireguard?.keys ?? [];
  const members = [...view.nodes()].filter(({ left }) => !left);
  if (keys.length === 0 || !members.some(({ nat }) => nat)) return;
  const ports = new Set(members.map(({ gossipPort }) => gossipPort));
  if (storePort !== undefined) ports.add(storePort);
  return {
    addresses: keys.map(({ number }) => controlOf(number)),
    ports: [...ports].sort((a, b) => a - b),
  };
}

/**
 * What makes it so, in order; nothing where it is. `wanted` undefined: it goes. Without `mayRemove` what is there stays, beside
 * what is wanted: of a view that is not whole.
 */
export function controlWayOps(wanted: ControlWay | undefined, seen: SeenControlWay, mayRemove: boolean): readonly Op[] {
  const { host, inside } = seen;
  const ends = { host: host.links.get(CONTROL_LINK), inside: inside.links.get(CONTROL_INSIDE) };
  if (!wanted) return ends.host && mayRemove ? [{ kind: 'delete-link', at: HOST, name: CONTROL_LINK }] : [];
  const filter = controlFilter(wanted.ports);
  const allowed = mayRemove ? filter : withLoaded(filter, inside.filter);
  const ops: Op[] = filterOps(WIREGUARD_PLACE, allowed, inside.filter);
  if (!inside.forwarding)
    ops.push({ kind: 'set-sysctl', at: WIREGUARD_PLACE, key: 'net.ipv4.ip_forward', value: '1', required: true });
  const mtu = leastMtu(inside);
  const whole = ends.host && ends.inside && isPair(ends.host, ends.inside);
  const made = { host: veth(CONTROL_LINK, MACS.host, mtu), inside: veth(CONTROL_INSIDE, MACS.inside, mtu) };
  if (!whole) {
    if (ends.host) ops.push({ kind: 'delete-link', at: HOST, name: CONTROL_LINK });
    else if (ends.inside) ops.push({ kind: 'delete-link', at: WIREGUARD_PLACE, name: CONTROL_INSIDE });
    ops.push({ kind: 'add-veth', at: HOST, mtu, end: made.host, peer: { ...made.inside, at: WIREGUARD_PLACE } });
  }
  const down = (link: Link) => ({ ...link, up: false });
  const now = whole ? { host: ends.host!, inside: ends.inside! } : { host: down(made.host), inside: down(made.inside) };
  ops.push(...linkOps(WIREGUARD_PLACE, made.inside, now.inside, true), ...linkOps(HOST, made.host, now.host, true));
  ops.push(...insideRows(wanted, whole ? inside : undefined), ...hostRows(wanted, whole ? host : undefined, mayRemove));
  return mayRemove || !whole ? ops : ops.filter(({ kind }) => !kind.startsWith('delete-'));
}

function controlFilter(ports: readonly number[]): Filter {
  const through = (way: string) => [
    `${way} ${BETWEEN} tcp dport @control accept`,
    `${way} ${BETWEEN} tcp sport @control accept`,
  ];
  return {
    family: 'inet',
    sets: [set('control', ['inet_service'], ports.map(String))],
    chains: [
      chain('input', 'input', EARLY, 'accept', [`iifname "${CONTROL_INSIDE}" counter drop`]),
      chain('output', 'output', EARLY, 'accept', [
        // That there is no way, of what was passed on.
        `oifname "${CONTROL_INSIDE}" icmp type destination-unreachable accept`,
        `oifname "${CONTROL_INSIDE}" counter drop`,
      ]),
      chain('forward', 'forward', EARLY, 'drop', [
        ...through(`iifname "${CONTROL_INSIDE}" oifname ${TUNNELS}`),
        ...through(`iifname ${TUNNELS} oifname "${CONTROL_INSIDE}"`),
        'counter drop',
      ]),
    ],
  };
}

function insideRows({ addresses }: ControlWay, seen: SeenSide | undefined): Op[] {
  const { sets, removals } = rowsOps(
    WIREGUARD_PLACE,
    {
      addresses: [{ link: CONTROL_INSIDE, address: GATEWAY, prefix: 32 }],
      routes: addresses.map((address) => ours(address, undefined, CONTROL_INSIDE)),
      ...NO_ROWS,
    },
    rowsOn(CONTROL_INSIDE, seen),
  );
  return [...sets, ...removals];
}

/** Of its addresses the kernel calls by the one that it got first: where that is another one, all are given anew. */
function hostRows({ addresses }: ControlWay, seen: SeenSide | undefined, mayRemove: boolean): Op[] {
  const rows = rowsOn(CONTROL_LINK, seen);
  const isFirst = !mayRemove || rows.addresses[0]?.address === addresses[0];
  const stale = isFirst ? [] : rows.addresses;
  const { sets, removals } = rowsOps(
    HOST,
    {
      addresses: addresses.map((address) => ({ link: CONTROL_LINK, address, prefix: 32 })),
      routes: [ours(CONTROL_POOL, GATEWAY, CONTROL_LINK)],
      ...NO_ROWS,
    },
    // The route goes with the last address.
    isFirst ? rows : { ...rows, addresses: [], routes: [] },
  );
  return [...stale.map((address): Op => ({ kind: 'delete-address', at: HOST, address })), ...sets, ...removals];
}

const NO_ROWS = { neighbours: [], fdb: [] } as const;

function rowsOn(link: string, seen: SeenSide | undefined) {
  const on = (row: { readonly link: string }) => row.link === link;
  const isOurs = (route: Route) => on(route) && route.protocol === ROUTE_PROTOCOL;
  return { addresses: (seen?.addresses ?? []).filter(on), routes: (seen?.routes ?? []).filter(isOurs), ...NO_ROWS };
}

function ours(destination: string, gateway: string | undefined, link: string): Route {
  return { destination, gateway, link, protocol: ROUTE_PROTOCOL };
}

function veth(name: string, mac: string, mtu: number): Link {
  return { name, kind: 'veth', mac, mtu, up: true };
}

/** Of the tunnels: TCP says so to the other end, and nothing has to be cut. */
function leastMtu({ links }: SeenSide): number {
  const tunnels = [...links.values()].filter(({ name }) => name.startsWith('ovlwg'));
  return Math.min(1_420, ...tunnels.map(({ mtu }) => mtu));
}
