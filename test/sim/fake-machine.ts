/** The namespaces of a machine in memory, and what each op does to them or why it is refused. */
import { OverlaydError } from '../../src/core/errors.ts';
import {
  type Address,
  type FdbRow,
  HOST,
  type Link,
  LOOPBACK,
  type Neighbour,
  type Op,
  type Place,
  type Route,
  SERVICE_ADDRESS,
  type Vxlan,
} from '../../src/core/host-state.ts';
import type { Filter } from '../../src/core/packet-filter.ts';
import { asLoaded } from '../../src/core/plan/filter.ts';
import { isNetworkNamespace, isUplink } from '../../src/core/plan/naming.ts';
import { ALL_ZEROS } from '../../src/core/row-table.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface Space {
  forwarding: boolean;
  forwarding6: boolean;
  readonly links: Map<string, Mutable<Link>>;
  addresses: Address[];
  routes: Route[];
  neighbours: Neighbour[];
  fdb: FdbRow[];
  filter: Filter | undefined;
  /** Of a network's namespace: its table of services. */
  services: Filter | undefined;
}

const DEFAULT_PORT = {
  learning: true,
  flood: true,
  multicastFlood: true,
  broadcastFlood: true,
  locked: false,
  hairpin: false,
  isolated: false,
  neighbourSuppression: false,
};

export class FakeMachine {
  /** Addresses whose connections were forgotten. */
  readonly forgotten: string[] = [];
  readonly #spaces = new Map<Place, Space>([[HOST, newSpace()]]);
  #lastIndex = 1;

  places(): Place[] {
    return [...this.#spaces.keys()];
  }

  clear(): void {
    this.#spaces.clear();
    this.#spaces.set(HOST, newSpace());
  }

  addPlace(place: Place): void {
    if (this.#spaces.has(place)) refuse(`namespace ${place}: File exists`);
    this.#spaces.set(place, newSpace());
  }

  /** Returns the places that it touched. */
  deletePlace(place: Place): Place[] {
    const space = this.#spaces.get(place);
    if (!space) return [];
    const names = [...space.links.keys()].filter((name) => name !== 'lo');
    const touched = names.flatMap((name) => this.#deleteLink(place, name));
    this.#spaces.delete(place);
    // As a tunnel's device goes with the namespace of its socket.
    for (const [other, { links }] of this.#spaces)
      for (const { name, vxlan } of links.values())
        if (vxlan?.socketAt === place) touched.push(...this.#deleteLink(other, name));
    return touched;
  }

  snapshot(place: Place): Readonly<Space> | undefined {
    const space = this.#spaces.get(place);
    return space && structuredClone(space);
  }

  /** What is ours in the host. */
  hostSnapshot(): Readonly<Space> {
    const { links, addresses, routes, neighbours, ...rest } = structuredClone(this.#space(HOST));
    const ours = ({ link }: { link: string }) => isUplink(link);
    return {
      ...rest,
      links: new Map([...links].filter(([name]) => isUplink(name))),
      addresses: addresses.filter((row) => ours(row) || (row.link === LOOPBACK && row.address === SERVICE_ADDRESS)),
      routes: routes.filter(ours),
      neighbours: neighbours.filter(ours),
    };
  }

  /** It comes out down and bare, as one that was moved does. Returns the places that it touched. */
  moveLink(from: Place, name: string, to: Place, newName: string): Place[] {
    const link = this.#link(from, name);
    if (this.#space(to).links.has(newName)) refuse(`${newName}: File exists`);
    this.#space(from).links.delete(name);
    this.#dropRows(this.#space(from), name);
    this.#space(to).links.set(newName, { ...link, name: newName, up: false, master: undefined, port: undefined });
    return [from, to];
  }

  /** Returns the places that it touched; throws when the kernel would refuse. */
  carryOut(op: Op): Place[] {
    switch (op.kind) {
      case 'add-namespace':
        this.addPlace(op.name);
        return [op.name];
      case 'delete-namespace':
        return [op.name, ...this.deletePlace(op.name)];
      case 'forget-flows':
        this.forgotten.push(...op.addresses);
        return [];
      case 'set-sysctl':
        if (op.key === 'net.ipv4.ip_forward') this.#space(op.at).forwarding = op.value === '1';
        if (op.key === 'net.ipv6.conf.all.forwarding') this.#space(op.at).forwarding6 = op.value === '1';
        return [op.at];
      case 'add-vxlan':
        this.#space(op.vxlan.socketAt);
        this.#checkVni(op.vxlan);
        this.#addLink(op.at, { ...linkOf(op, 'vxlan'), vxlan: op.vxlan });
        return [op.at];
      case 'add-bridge':
        this.#addLink(op.at, { ...linkOf(op, 'bridge'), bridge: { stp: false, multicastSnooping: false } });
        return [op.at];
      case 'add-veth':
        return this.#addVeth(op);
      case 'delete-link':
        return this.#deleteLink(op.at, op.name);
      case 'set-link':
        this.#setLink(op);
        return [op.at];
      case 'set-port': {
        const link = this.#link(op.at, op.name);
        if (link.master === undefined) refuse(`${op.name} is no port of a bridge`);
        link.port = op.flags;
        return [op.at];
      }
      case 'delete-filter':
        this.#space(op.at)[tableOf(op.at, op.family)] = undefined;
        return [op.at];
      case 'add-elements':
      case 'remove-elements':
        this.#changeElements(op);
        return [op.at];
      case 'set-filter':
        this.#space(op.at)[tableOf(op.at, op.filter.family)] = asLoaded(structuredClone(op.filter));
        return [op.at];
      default:
        this.#changeRow(op);
        return [op.at];
    }
  }

  #changeElements({
    kind,
    at,
    family,
    sets: changes,
  }: Extract<Op, { kind: 'add-elements' | 'remove-elements' }>): void {
    const space = this.#space(at);
    const table = tableOf(at, family);
    const filter = space[table];
    if (filter?.family !== family) refuse('No such file or directory');
    for (const { name, elements } of changes) {
      const held = filter.sets.find((set) => set.name === name)?.elements ?? refuse('No such file or directory');
      const absent = kind === 'remove-elements' && [...elements].some((element) => !held.has(element));
      if (absent) refuse(`${name}: No such file or directory`);
    }
    const sets = filter.sets.map((set) => {
      const change = changes.find(({ name }) => name === set.name)?.elements ?? new Set();
      const kept = [...set.elements].filter((element) => !change.has(element));
      return { ...set, elements: new Set(kind === 'add-elements' ? [...kept, ...change] : kept) };
    });
    space[table] = { ...filter, sets };
  }

  // ------------------------------------------------------------ links

  #space(place: Place): Space {
    return this.#spaces.get(place) ?? refuse(`Cannot open network namespace "${place}"`);
  }

  #link(place: Place, name: string): Mutable<Link> {
    return this.#space(place).links.get(name) ?? refuse(`Cannot find device "${name}"`);
  }

  #addLink(place: Place, link: Link): Mutable<Link> {
    const { links } = this.#space(place);
    if (links.has(link.name)) refuse(`${link.name}: File exists`);
    if (link.name.length > 15) refuse(`${link.name} is not a valid name`);
    const made = { ...link, index: ++this.#lastIndex };
    links.set(link.name, made);
    return made;
  }

  #addVeth({ at, mtu, end, peer }: Extract<Op, { kind: 'add-veth' }>): Place[] {
    if (this.#space(peer.at).links.has(peer.name)) refuse(`${peer.name}: File exists`);
    const a = this.#addLink(at, linkOf({ ...end, mtu }, 'veth'));
    const b = this.#addLink(peer.at, linkOf({ ...peer, mtu }, 'veth'));
    a.peerIndex = b.index;
    b.peerIndex = a.index;
    return [at, peer.at];
  }

  #checkVni({ vni, port, socketAt }: Vxlan): void {
    for (const { links } of this.#spaces.values()) {
      for (const { vxlan } of links.values()) {
        if (vxlan?.vni === vni && vxlan.port === port && vxlan.socketAt === socketAt)
          refuse(`VXLAN ${vni}: File exists`);
      }
    }
  }

  #deleteLink(place: Place, name: string): Place[] {
    const space = this.#spaces.get(place);
    const link = space?.links.get(name);
    if (!space || !link) return [];
    if (name === 'lo') refuse('lo: Operation not supported');
    space.links.delete(name);
    this.#dropRows(space, name);
    for (const other of space.links.values()) if (other.master === name) this.#leaveBridge(space, other);
    if (link.kind !== 'veth') return [place];
    for (const [peerPlace, { links }] of this.#spaces) {
      for (const other of links.values()) {
        if (other.kind === 'veth' && other.peerIndex === link.index) {
          return [place, peerPlace, ...this.#deleteLink(peerPlace, other.name)];
        }
      }
    }
    return [place];
  }

  #setLink({ at, name, set }: Extract<Op, { kind: 'set-link' }>): void {
    const space = this.#space(at);
    const link = this.#link(at, name);
    if (set.master !== undefined) {
      if (this.#link(at, set.master).kind !== 'bridge') refuse(`${set.master} is not a bridge`);
      this.#leaveBridge(space, link);
      if ([...space.links.values()].filter(({ master }) => master === set.master).length >= 1_023)
        refuse('Exchange full');
      link.master = set.master;
      link.port = DEFAULT_PORT;
    }
    if (set.mac !== undefined) link.mac = set.mac;
    if (set.mtu !== undefined) link.mtu = set.mtu;
    if (set.bridge) link.bridge = set.bridge;
    if (set.ipv6) link.ipv6 = true;
    if (set.up) link.up = true;
  }

  #leaveBridge(space: Space, link: Mutable<Link>): void {
    link.master = undefined;
    link.port = undefined;
    space.fdb = space.fdb.filter((row) => row.link !== link.name || row.vtep !== undefined);
  }

  #dropRows(space: Space, name: string): void {
    const stays = ({ link }: { link: string }) => link !== name;
    space.addresses = space.addresses.filter(stays);
    space.routes = space.routes.filter(stays);
    space.neighbours = space.neighbours.filter(stays);
    space.fdb = space.fdb.filter(stays);
  }

  // ------------------------------------------------------------ rows

  #changeRow(op: Op): void {
    switch (op.kind) {
      case 'add-address': {
        this.#checkFamily(op.at, op.address.link, op.address.address);
        const space = this.#space(op.at);
        space.addresses = [...space.addresses.filter((row) => !isSame(row, op.address)), op.address];
        return;
      }
      case 'delete-address': {
        const space = this.#space(op.at);
        space.addresses = space.addresses.filter((row) => !isSame(row, op.address));
        this.#loseIpv4(space, op.address);
        return;
      }
      case 'set-route': {
        if (!this.#link(op.at, op.route.link).up) refuse(`${op.route.link}: Network is down`);
        this.#checkFamily(op.at, op.route.link, op.route.destination);
        const space = this.#space(op.at);
        const { destination, metric, source } = op.route;
        if (source !== undefined && !space.addresses.some(({ address }) => address === source))
          refuse('Invalid prefsrc address');
        const others = space.routes.filter((row) => row.destination !== destination || row.metric !== metric);
        space.routes = [...others, op.route];
        return;
      }
      case 'delete-route': {
        const space = this.#space(op.at);
        space.routes = space.routes.filter((row) => !isSame(row, op.route));
        return;
      }
      case 'set-neighbour':
      case 'delete-neighbour': {
        const { link, address } = op.neighbour;
        const space = this.#space(op.at);
        const others = space.neighbours.filter((row) => row.link !== link || row.address !== address);
        if (op.kind === 'set-neighbour') this.#checkFamily(op.at, link, address);
        space.neighbours = op.kind === 'set-neighbour' ? [...others, op.neighbour] : others;
        return;
      }
      case 'set-fdb':
        this.#setFdb(op.at, op.row);
        return;
      case 'delete-fdb': {
        const space = this.#space(op.at);
        space.fdb = space.fdb.filter((row) => !isSame(row, op.row));
      }
    }
  }

  /** With its last address of IPv4 a link loses its routes and neighbours of it, with any the routes that have it as source. */
  #loseIpv4(space: Space, { link, address }: Address): void {
    if (address.includes(':')) return;
    const isBare = !space.addresses.some((row) => row.link === link && !row.address.includes(':'));
    const isLost = (row: { readonly link: string }, of: string) => isBare && row.link === link && !of.includes(':');
    space.routes = space.routes.filter((row) => row.source !== address && !isLost(row, row.destination));
    space.neighbours = space.neighbours.filter((row) => !isLost(row, row.address));
  }

  /** Strictest of all: links have no IPv6 unless they were given it. */
  #checkFamily(place: Place, link: string, text: string): void {
    if (this.#link(place, link).ipv6 === undefined && text.includes(':')) refuse('IPv6 is disabled on this device');
  }

  /** A bridge has one row per MAC; a VXLAN device overwrites the first of a MAC's tunnel ends, and adds to a flood row's. */
  #setFdb(place: Place, row: FdbRow): void {
    const space = this.#space(place);
    const link = this.#link(place, row.link);
    if (row.vtep === undefined) {
      if (link.master === undefined) refuse(`${row.link} is no port of a bridge`);
      space.fdb = [...space.fdb.filter(({ mac, vtep }) => mac !== row.mac || vtep !== undefined), row];
      return;
    }
    if (link.kind !== 'vxlan' || isGroup(row.mac)) refuse(`${row.link}: Operation not supported`);
    const isKept = row.mac === ALL_ZEROS;
    const first = space.fdb.findIndex(
      (each) => each.mac === row.mac && each.vtep !== undefined && (!isKept || isSame(each, row)),
    );
    if (first < 0) space.fdb = [...space.fdb, row];
    else space.fdb = space.fdb.with(first, row);
  }
}

function newSpace(): Space {
  return {
    forwarding: false,
    forwarding6: false,
    links: new Map([['lo', { name: 'lo', kind: '', mac: '00:00:00:00:00:00', mtu: 65536, up: false, index: 1 }]]),
    addresses: [],
    routes: [],
    neighbours: [],
    fdb: [],
    filter: undefined,
    services: undefined,
  };
}

function tableOf(place: Place, family: Filter['family']): 'filter' | 'services' {
  return family === 'inet' && isNetworkNamespace(place) ? 'services' : 'filter';
}

function linkOf({ name, mac, mtu }: { name: string; mac: string; mtu: number }, kind: string): Link {
  return { name, kind, mac, mtu, up: false };
}

/** An address of many: of those a device keeps a list, in which nothing is replaced. */
function isGroup(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) !== 0;
}

function isSame(a: object, b: object): boolean {
  const text = (row: object) =>
    JSON.stringify(
      Object.entries(row)
        .filter(([, value]) => value !== undefined)
        .sort(),
    );
  return text(a) === text(b);
}

function refuse(message: string): never {
  throw new OverlaydError('data-path-failed', message, { retryable: true });
}
