/**
 * Ops of one place as one batch of rtnetlink messages. Rows name their link by its index, which a link that is made by the
 * same batch has only then: what is waiting is sent before an index is asked for.
 */
import { closeSync, openSync } from 'node:fs';
import { DEFAULT_ROUTE } from '../../core/cidr.ts';
import { OverlaydError } from '../../core/errors.ts';
import {
  type Address,
  DEFAULT,
  type Op,
  ROUTE_PROTOCOL,
  type Route,
  SERVICE_ADDRESS,
  type VethEnd,
} from '../../core/host-state.ts';
import { BITS, familyOf } from '../../core/ip.ts';
import { isUplink } from '../../core/plan/naming.ts';
import type { RowTable } from '../../core/row-table.ts';
import { describeErrno } from '../native/system-call.ts';
import { deleteAddress, replaceAddress } from '../netlink/address.ts';
import { newBridge, newVeth, newVxlan, setAddrGenMode, setBridgePort, setLink } from '../netlink/link.ts';
import type { Request } from '../netlink/message.ts';
import { deleteFdb, deleteNeighbour, replaceFdb, replaceNeighbour } from '../netlink/neighbour.ts';
import { deleteRoute, replaceRoute } from '../netlink/route.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { IN6_ADDR_GEN_MODE_NONE } from '../netlink/uapi/if-link.ts';
import { RT_SCOPE_HOST, RT_SCOPE_UNIVERSE } from '../netlink/uapi/rtnetlink.ts';
import { pathOf } from './means.ts';
import { tunnelIndex } from './namespace-ids.ts';
import { type PlainError, plainError } from './plain-error.ts';
import { numberOfProtocol } from './route-protocol.ts';
import { writeRows } from './rows.ts';

/** What is to be taken away is gone. */
export const GONE = ['ENODEV', 'ENOENT', 'ESRCH', 'EADDRNOTAVAIL'];
const NO_IPV6 = ['EAFNOSUPPORT', 'ENOTSUP', 'EOPNOTSUPP'];
const NONE: readonly string[] = [];
/** Behind whatever a host has of its own. */
const UPLINK_METRIC = 4_000;
/** So many requests are sent at once; no more of them are kept. */
const MOST_PENDING = 500;
/** IP time to live of the tunnels' packets. */
const TTL = 64;

/** By position of the op: why it was not done, or, of an op of many rows, why some of them were not, by theirs. */
export type Failures = Map<number, PlainError | ReadonlyMap<number, PlainError>>;

type Socket = Pick<NetlinkSocket, 'request' | 'requestMany' | 'indexOf'>;

interface Pending {
  readonly op: number;
  readonly request: Request;
  /** What may be said of it when its part is done all the same. */
  readonly tolerated: readonly string[];
}

export class Batch {
  /** By position of the op. */
  readonly failures: Failures = new Map();
  readonly #socket: Socket;
  readonly #setSysctl: (key: string, value: string) => void;
  #pending: Pending[] = [];
  readonly #indexes = new Map<string, number>();
  readonly #files: number[] = [];

  /** `setSysctl`: in the namespace of the socket. */
  constructor(socket: Socket, setSysctl: (key: string, value: string) => void) {
    this.#socket = socket;
    this.#setSysctl = setSysctl;
  }

  /** `at`: position of the op. */
  add(op: Op, at: number): void {
    this.#try(at, () => this.#addOp(op, at));
  }

  /** Has all that was added done. Of what nobody answered nothing is known, and so it has failed. */
  flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    try {
      const outcomes = pending.length > 0 ? this.#socket.request(pending.map(({ request }) => request)) : [];
      for (const [at, outcome] of outcomes.entries()) {
        const { op, tolerated } = pending[at]!;
        if (outcome.ok || tolerated.includes(outcome.code)) continue;
        this.#fail(op, { code: outcome.code, message: outcome.text });
      }
    } catch (error) {
      for (const { op } of pending) this.#fail(op, plainError(error));
    } finally {
      this.close();
    }
  }

  /** Lets go of what was opened for requests that are not sent. */
  close(): void {
    for (const file of this.#files.splice(0)) closeSync(file);
  }

  #addOp(op: Op, at: number): void {
    switch (op.kind) {
      case 'add-vxlan': {
        const data = { ...op.vxlan, ttl: TTL, udpChecksum: true };
        const index = tunnelIndex(op.vxlan.vni);
        this.#push(at, newVxlan({ ...linkOf(op), index, namespaceFd: this.#open(op.at) }, data));
        break;
      }
      case 'add-bridge':
        this.#push(at, newBridge(linkOf(op), { stp: false, multicastSnooping: false }));
        break;
      case 'add-veth': {
        const peer = { ...linkOf({ ...op.peer, mtu: op.mtu }), namespaceFd: this.#open(op.peer.at) };
        this.#push(at, newVeth(linkOf({ ...op.end, mtu: op.mtu }), peer));
        break;
      }
      case 'set-link': {
        const { noLinkLocal, ipv6, master, ...set } = op.set;
        // Before it comes up.
        if (noLinkLocal) this.#push(at, setAddrGenMode({ name: op.name }, IN6_ADDR_GEN_MODE_NONE), NO_IPV6);
        if (ipv6) this.#enableIpv6(op.name);
        if (master === undefined && Object.keys(set).length === 0) return;
        const change = { ...set, ...(master !== undefined && { master: this.#indexOf(master) }) };
        this.#push(at, setLink({ name: op.name }, change));
        break;
      }
      case 'set-port':
        this.#push(at, setBridgePort({ name: op.name }, op.flags));
        break;
      case 'add-address':
        this.#row(at, op.address.link, NONE, (link) => replaceAddress(addressOf(op.address, link)));
        break;
      case 'delete-address':
        this.#row(at, op.address.link, GONE, (link) => deleteAddress(addressOf(op.address, link)));
        break;
      case 'set-route':
        this.#row(at, op.route.link, NONE, (link) => replaceRoute(routeOf(op.route, link)));
        break;
      case 'delete-route':
        if (op.route.link === '') this.#push(at, deleteRoute(routeOf(op.route, 0)), GONE);
        else this.#row(at, op.route.link, GONE, (link) => deleteRoute(routeOf(op.route, link)));
        break;
      case 'set-neighbour': {
        const { link: name, ...row } = op.neighbour;
        this.#row(at, name, NONE, (link) => replaceNeighbour({ link, ...row }));
        break;
      }
      case 'delete-neighbour': {
        const { link: name, address } = op.neighbour;
        this.#row(at, name, GONE, (link) => deleteNeighbour({ link, address }));
        break;
      }
      case 'set-fdb':
        this.#row(at, op.row.link, NONE, (link) => replaceFdb({ ...op.row, link }));
        break;
      case 'delete-fdb':
        this.#row(at, op.row.link, GONE, (link) => deleteFdb({ ...op.row, link }));
        break;
      case 'set-rows':
        this.#rows(at, op.rows, true);
        break;
      case 'delete-rows':
        this.#rows(at, op.rows, false);
        break;
      default:
        throw new OverlaydError('internal', `${op.kind} is not done by rtnetlink`);
    }
  }

  /** After all that was added before: the link may have been. */
  #enableIpv6(link: string): void {
    this.flush();
    const of = `net/ipv6/conf/${link}`;
    this.#setSysctl(`${of}/accept_ra`, '0');
    this.#setSysctl(`${of}/disable_ipv6`, '0');
  }

  #push(op: number, request: Request, tolerated: readonly string[] = NONE): void {
    this.#pending.push({ op, request, tolerated });
    if (this.#pending.length === MOST_PENDING) this.flush();
  }

  #row(op: number, link: string, tolerated: readonly string[], make: (index: number) => Request): void {
    this.#try(op, () => {
      const index = this.#lookUp(link);
      if (index !== undefined) this.#push(op, make(index), tolerated);
      else if (!tolerated.includes('ENODEV')) throw noLink(link);
    });
  }

  /** Of one link. Straight from the table into the buffer of the socket, after all that was added before. */
  #rows(op: number, table: RowTable, isSet: boolean): void {
    const links = new Map<number, number>();
    for (const [number, name] of table.links) {
      const index = this.#lookUp(name);
      if (index !== undefined) links.set(number, index);
      else if (isSet) throw noLink(name);
      // With the link its rows are gone.
      else return;
    }
    this.flush();
    const failures = new Map<number, PlainError>();
    for (const [row, { code, text }] of writeRows(this.#socket, table, links, isSet))
      if (isSet || !GONE.includes(code)) failures.set(row, { code, message: text });
    if (failures.size > 0) this.failures.set(op, failures);
  }

  #indexOf(link: string): number {
    const index = this.#lookUp(link);
    if (index === undefined) throw noLink(link);
    return index;
  }

  #lookUp(link: string): number | undefined {
    const known = this.#indexes.get(link);
    if (known !== undefined) return known;
    this.flush();
    const index = this.#socket.indexOf(link);
    if (index !== undefined) this.#indexes.set(link, index);
    return index;
  }

  /** A namespace, open until the request was sent; undefined: the socket's own. */
  #open(place: string): number | undefined {
    const path = pathOf(place);
    if (path === undefined) return undefined;
    const file = openSync(path, 'r');
    this.#files.push(file);
    return file;
  }

  #try(op: number, task: () => void): void {
    try {
      task();
    } catch (error) {
      this.#fail(op, plainError(error));
    }
  }

  #fail(op: number, error: PlainError): void {
    if (!this.failures.has(op)) this.failures.set(op, error);
  }
}

function noLink(name: string): Error {
  const { code, message } = describeErrno(ENODEV);
  return Object.assign(new Error(`there is no link ${name}: ${message}`), { code });
}

const ENODEV = 19;

function linkOf({ name, mac, mtu, gsoMaxBytes }: VethEnd & { readonly mtu: number }) {
  return { name, mac, mtu, gsoMaxBytes };
}

function addressOf({ address, prefix }: Address, link: number) {
  // Of host scope it is never the source of what leaves through a link without addresses, as uplinks are.
  return { link, address, prefix, scope: address === SERVICE_ADDRESS ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE };
}

function routeOf({ destination, gateway, link: name, protocol, metric, source }: Route, link: number) {
  const [address = '', prefix] = (destination === DEFAULT[4] ? DEFAULT_ROUTE[4] : destination).split('/');
  const ours = protocol === ROUTE_PROTOCOL;
  return {
    destination: address,
    prefix: Number(prefix ?? BITS[familyOf(address) ?? 4]),
    gateway,
    link,
    protocol: numberOfProtocol(protocol),
    // A next hop of ours may lie outside every subnet of the link; a foreign route that goes is named as it is.
    onlink: ours && gateway !== undefined,
    // Beside a route of the host's own to the same subnet, and not in its place: that one wins.
    metric: metric ?? (ours && isUplink(name) ? UPLINK_METRIC : undefined),
    preferredSource: source,
  };
}
