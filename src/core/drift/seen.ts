/** What was seen in the place of what is wanted: how a link, flags or a row differ, in words. */
import {
  type Desired,
  HOST,
  type Link,
  type LinkChange,
  type NamespaceState,
  type Observed,
  type Op,
  type Place,
  type PortFlags,
  type Route,
} from '../host-state.ts';
import { ALL_ZEROS, fdbRows, neighbourRows } from '../row-table.ts';
import type { Drift } from './drift.ts';

type Draft = Pick<Drift, 'kind' | 'object' | 'state' | 'detail'>;

export class SeenPlaces {
  readonly #observed: Observed;
  readonly #desired: Pick<Desired, 'networks'>;
  #insides: ReadonlyMap<Place, NamespaceState> | undefined;
  /** By place: what neighbours and FDB rows lead to, made for those of which one differs. */
  readonly #ways = new Map<Place, ReadonlyMap<string, string>>();

  constructor(observed: Observed, desired: Pick<Desired, 'networks'>) {
    this.#observed = observed;
    this.#desired = desired;
  }

  at(place: Place): NamespaceState | undefined {
    const { host, networks } = this.#observed;
    if (place === HOST) return host;
    return networks.get(place) ?? this.#inside(place);
  }

  /** Undefined: it is no op of a row. */
  row(op: Op): Draft | undefined {
    switch (op.kind) {
      case 'add-address':
      case 'delete-address': {
        const { link, address, prefix, unused } = op.address;
        const detail = unused ? 'the kernel does not use it: somebody else has it, or that is not known yet' : '';
        const object = `${address}/${prefix} dev ${link}`;
        return { kind: 'address', object, state: op.kind === 'add-address' ? 'missing' : 'extra', detail };
      }
      case 'set-route':
      case 'delete-route': {
        const { destination, link } = op.route;
        const object = `${destination} dev ${link}`;
        if (op.kind === 'delete-route') return { kind: 'route', object, state: 'extra', detail: viaOf(op.route) };
        const other = this.at(op.at)?.routes.find((each) => each.destination === destination && each.link === link);
        const detail = other ? `${viaOf(other)} instead of ${viaOf(op.route)}` : viaOf(op.route);
        if (other && viaOf(other) === viaOf(op.route)) return undefined;
        return { kind: 'route', object, state: other ? 'wrong' : 'missing', detail };
      }
      case 'set-neighbour':
      case 'delete-neighbour': {
        const { address, link, mac } = op.neighbour;
        const object = `${address} dev ${link}`;
        if (op.kind === 'delete-neighbour')
          return { kind: 'neighbour', object, state: 'extra', detail: `lladdr ${mac}` };
        // It is written once more where the kernel would take it away with something else that goes.
        if (this.#waysAt(op.at).get(object) === `lladdr ${mac}`) return undefined;
        return { kind: 'neighbour', object, ...this.#difference(op.at, object, `lladdr ${mac}`) };
      }
      case 'set-fdb':
      case 'delete-fdb': {
        const { link, mac, vtep, port } = op.row;
        const way = wayOf(vtep, port);
        // A device has a list of those to which it sends what is for all.
        const object = mac === ALL_ZEROS ? `${mac} dev ${link} ${way}` : `${mac} dev ${link}`;
        if (op.kind === 'delete-fdb') return { kind: 'FDB row', object, state: 'extra', detail: way };
        return { kind: 'FDB row', object, ...this.#difference(op.at, object, way) };
      }
      default:
        return undefined;
    }
  }

  #difference(place: Place, object: string, wanted: string): Pick<Draft, 'state' | 'detail'> {
    const there = this.#waysAt(place).get(object);
    if (there === undefined) return { state: 'missing', detail: wanted };
    return { state: 'wrong', detail: `${there} instead of ${wanted}` };
  }

  #waysAt(place: Place): ReadonlyMap<string, string> {
    const known = this.#ways.get(place);
    if (known) return known;
    const ways = new Map<string, string>();
    const seen = this.at(place);
    for (const { address, link, mac } of neighbourRows(seen?.neighbours ?? []))
      ways.set(`${address} dev ${link}`, `lladdr ${mac}`);
    for (const { link, mac, vtep, port } of fdbRows(seen?.fdb ?? [])) {
      if (mac !== ALL_ZEROS) ways.set(`${mac} dev ${link}`, wayOf(vtep, port));
    }
    this.#ways.set(place, ways);
    return ways;
  }

  #inside(path: Place): NamespaceState | undefined {
    this.#insides ??= new Map(
      this.#desired.networks.flatMap(({ ports }) =>
        ports.flatMap(({ endpoint: { container } }) => {
          const inside = this.#observed.containers.get(container.identity);
          return inside === undefined || inside === 'gone' ? [] : [[container.path, inside] as const];
        }),
      ),
    );
    return this.#insides.get(path);
  }
}

/** Empty: nothing of it differs from what was seen. */
export function linkDetail(set: LinkChange, seen: Link): string {
  const parts = [
    set.mac !== undefined && `MAC ${seen.mac} instead of ${set.mac}`,
    set.mtu !== undefined && `mtu ${seen.mtu} instead of ${set.mtu}`,
    set.master !== undefined && `in ${seen.master ?? 'no bridge'} instead of ${set.master}`,
    set.bridge?.stp === false && seen.bridge?.stp && 'stp_state 1 instead of 0',
    set.bridge?.multicastSnooping === false && seen.bridge?.multicastSnooping && 'mcast_snooping 1 instead of 0',
    set.up && !seen.up && 'down',
    set.ipv6 && !seen.ipv6 && 'without IPv6, or it believes routers that advertise themselves',
  ];
  return parts.filter((part) => typeof part === 'string').join(', ');
}

/** As `bridge -d link show` names them. */
const FLAGS: Readonly<Record<keyof PortFlags, string>> = {
  learning: 'learning',
  flood: 'flood',
  multicastFlood: 'mcast_flood',
  broadcastFlood: 'bcast_flood',
  locked: 'locked',
  hairpin: 'hairpin',
  isolated: 'isolated',
  neighbourSuppression: 'neigh_suppress',
};

/** `seen` undefined: it is no port of the bridge. */
export function portDetail(wanted: PortFlags, seen: PortFlags | undefined): string {
  if (!seen) return 'it is no port of the bridge';
  const flags = Object.entries(FLAGS) as [keyof PortFlags, string][];
  const differing = flags.filter(([flag]) => seen[flag] !== wanted[flag]);
  return differing.map(([flag, name]) => `${name} ${onOff(seen[flag])} instead of ${onOff(wanted[flag])}`).join(', ');
}

function onOff(flag: boolean): string {
  return flag ? 'on' : 'off';
}

function viaOf({ gateway, source }: Pick<Route, 'gateway' | 'source'>): string {
  const via = gateway === undefined ? 'on the link' : `via ${gateway}`;
  return source === undefined ? via : `${via} src ${source}`;
}

function wayOf(vtep: string | undefined, port: number | undefined): string {
  if (vtep === undefined) return 'static';
  return port === undefined ? `dst ${vtep}` : `dst ${vtep} port ${port}`;
}
