/** What somebody with root may do to a host's namespaces by mistake, one op at a time, chosen by chance. */
import {
  BRIDGE,
  HOST,
  LOOPBACK,
  type NamespaceState,
  type Op,
  type Place,
  type PortFlags,
  TUNNEL,
} from '../../src/core/host-state.ts';
import { isNetworkNamespace } from '../../src/core/plan/naming.ts';
import { fdbRows, neighbourRows } from '../../src/core/row-table.ts';
import type { Random } from '../../src/ports/runtime.ts';

/** `states`: what is there, by place; containers by path. Undefined: there is nothing of that kind to be damaged. */
export function chooseDamage(random: Random, states: ReadonlyMap<Place, NamespaceState>): Op | undefined {
  const [at, state] = pick(random, [...states]) ?? [];
  if (at === undefined || !state) return undefined;
  const kinds = isNetworkNamespace(at) ? OF_NETWORKS : at === HOST ? OF_HOST : OF_CONTAINERS;
  return pick(random, kinds)!(at, state, random);
}

/** It may be that nobody hears of it by an event: what is inside a container, and filters inside of networks. */
export function isSilent(op: Op): boolean {
  if ('family' in op || op.kind === 'set-filter') return op.at !== HOST;
  return 'at' in op && op.at !== HOST && !isNetworkNamespace(op.at);
}

type Damage = (at: Place, state: NamespaceState, random: Random) => Op | undefined;

const STRANGE_MAC = '02:42:0a:00:99:99';
const STRANGE_ADDRESS = '10.0.0.99';

const deleteLink: Damage = (at, { links }, random) => {
  const name = pick(
    random,
    [...links.values()].filter(({ kind }) => kind !== '').map((link) => link.name),
  );
  return name === undefined || name === LOOPBACK ? undefined : { kind: 'delete-link', at, name };
};
const changeLink: Damage = (at, { links }, random) => {
  const link = pick(
    random,
    [...links.values()].filter(({ kind }) => ['veth', 'bridge', 'vxlan'].includes(kind)),
  );
  if (!link) return undefined;
  const set = random.next() < 0.5 ? { mtu: 1_280 } : { mac: STRANGE_MAC };
  return { kind: 'set-link', at, name: link.name, set };
};
const changeBridge: Damage = (at, { links }, random) => {
  const bridge = { stp: random.next() < 0.5, multicastSnooping: random.next() < 0.5 };
  return links.has(BRIDGE) ? { kind: 'set-link', at, name: BRIDGE, set: { bridge } } : undefined;
};
const openPort: Damage = (at, { links }, random) => {
  const link = pick(
    random,
    [...links.values()].filter(({ port }) => port),
  );
  return link && { kind: 'set-port', at, name: link.name, flags: { ...link.port!, learning: true, locked: false } };
};
const changePort: Damage = (at, { links }, random) => {
  const link = pick(
    random,
    [...links.values()].filter(({ port }) => port),
  );
  const flag = link && pick(random, Object.keys(link.port!) as (keyof PortFlags)[])!;
  return link && { kind: 'set-port', at, name: link.name, flags: { ...link.port!, [flag!]: !link.port![flag!] } };
};
const deleteNeighbour: Damage = (at, { neighbours }, random) => {
  const neighbour = pick(random, neighbourRows(neighbours));
  return neighbour && { kind: 'delete-neighbour', at, neighbour };
};
const changeNeighbour: Damage = (at, { neighbours }, random) => {
  const neighbour = pick(random, neighbourRows(neighbours));
  return neighbour && { kind: 'set-neighbour', at, neighbour: { ...neighbour, mac: STRANGE_MAC } };
};
const addNeighbour: Damage = (at, { links }) =>
  links.has(TUNNEL)
    ? { kind: 'set-neighbour', at, neighbour: { link: TUNNEL, address: STRANGE_ADDRESS, mac: STRANGE_MAC } }
    : undefined;
const deleteFdb: Damage = (at, { fdb }, random) => {
  const row = pick(random, fdbRows(fdb));
  return row && { kind: 'delete-fdb', at, row };
};
const changeFdb: Damage = (at, { fdb }, random) => {
  const row = pick(
    random,
    fdbRows(fdb).filter(({ vtep }) => vtep !== undefined),
  );
  return row && { kind: 'set-fdb', at, row: { ...row, vtep: '10.77.0.99' } };
};
const deleteAddress: Damage = (at, { addresses }, random) => {
  const address = pick(random, addresses);
  return address && { kind: 'delete-address', at, address };
};
const addAddress: Damage = (at, { links }) =>
  links.has(BRIDGE)
    ? { kind: 'add-address', at, address: { link: BRIDGE, address: STRANGE_ADDRESS, prefix: 32 } }
    : undefined;
const deleteRoute: Damage = (at, { routes }, random) => {
  const route = pick(random, routes);
  return route && { kind: 'delete-route', at, route };
};
const deleteFilter: Damage = (at, { filter }) => filter && { kind: 'delete-filter', at, family: filter.family };
const changeElements: Damage = (at, { filter }, random) => {
  const set = filter?.sets.find(({ elements, timeoutSeconds }) => elements.size > 0 && timeoutSeconds === undefined);
  const element = set && pick(random, [...set.elements]);
  if (!filter || !set || element === undefined) return undefined;
  return { kind: 'remove-elements', at, family: filter.family, sets: [{ ...set, elements: new Set([element]) }] };
};
const stopForwarding: Damage = (at) => ({ kind: 'set-sysctl', at, key: 'net.ipv4.ip_forward', value: '0' });
const addLink: Damage = (at, { links }) =>
  links.has('x0')
    ? undefined
    : {
        ...{ kind: 'add-veth', at, mtu: 1_500 },
        end: { name: 'x0', mac: '0e:00:00:00:99:01' },
        peer: { at, name: 'x1', mac: '0e:00:00:00:99:02' },
      };
const deleteNamespace: Damage = (name) => ({ kind: 'delete-namespace', name });

const ROWS = [deleteNeighbour, changeNeighbour, deleteRoute] as const;
const OF_NETWORKS: readonly Damage[] = [
  ...[...ROWS, addNeighbour, deleteFdb, changeFdb, deleteFdb, changeFdb, deleteAddress, addAddress],
  ...[
    deleteLink,
    changeLink,
    changeBridge,
    openPort,
    changePort,
    addLink,
    deleteFilter,
    changeElements,
    stopForwarding,
    deleteNamespace,
  ],
];
const OF_HOST: readonly Damage[] = [...ROWS, deleteLink, changeLink, deleteFilter, changeElements, stopForwarding];
const OF_CONTAINERS: readonly Damage[] = [deleteLink, changeLink, deleteAddress, deleteRoute];

function pick<T>(random: Random, items: readonly T[]): T | undefined {
  return items[Math.floor(random.next() * items.length)];
}
