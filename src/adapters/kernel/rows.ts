/**
 * Tables of rows (`core/row-table.ts`) from the kernel's messages and into them: numbers all the way, of thousands no object
 * is made.
 */
import {
  FDB,
  isIpv4,
  MAPPED_IPV4,
  NEIGHBOUR,
  OF_DEVICE,
  ROW_WORDS,
  type RowKind,
  type RowTable,
  rowCount,
} from '../../core/row-table.ts';
import { AF } from '../native/socket.ts';
import { align } from '../netlink/attributes.ts';
import type { Message } from '../netlink/message.ts';
import type { Failure, NetlinkSocket } from '../netlink/socket.ts';
import * as nl from '../netlink/uapi/neighbour.ts';
import { NLA_HDRLEN, NLA_TYPE_MASK, NLM_F_CREATE, NLM_F_REPLACE } from '../netlink/uapi/netlink.ts';
import { RTM_DELNEIGH, RTM_NEWNEIGH } from '../netlink/uapi/rtnetlink.ts';
import { MOST_ROW_BYTES, writeFdb, writeNeighbour } from './row-messages.ts';

const INITIAL_WORDS = 256;

/** Collects the words of rows while a dump is read; the number of a link is its index. */
export class RowReader {
  #words = new Uint32Array(INITIAL_WORDS);
  #length = 0;
  readonly #tunnel: number;

  /** `tunnel`: index of the VXLAN device whose rows are of concern; 0: none. */
  constructor(tunnel = 0) {
    this.#tunnel = tunnel;
  }

  /** Permanent neighbours alone. True when it was one. An IPv4 address that somebody wrote as IPv6 is no network's. */
  readonly neighbour = ({ view, start, end }: Message): true | undefined => {
    if (!(view.getUint16(start + 8, true) & nl.NUD_PERMANENT)) return undefined;
    const isIpv6 = view.getUint8(start) === AF.INET6;
    const at = this.#row('neighbour');
    this.#words[at + NEIGHBOUR.link] = view.getUint32(start + 4, true);
    for (let next = start + nl.NDMSG_BYTES; next + NLA_HDRLEN <= end; ) {
      const length = view.getUint16(next, true);
      if (length < NLA_HDRLEN) break;
      const type = view.getUint16(next + 2, true) & NLA_TYPE_MASK;
      if (type === nl.NDA_DST) this.#address(at + NEIGHBOUR.address, view, next, length);
      else if (type === nl.NDA_LLADDR) this.#mac(at + NEIGHBOUR.mac, view, next, length);
      next += align(length);
    }
    if (!isIpv6 || !isIpv4(this.#words, at + NEIGHBOUR.address)) return true;
    this.#length = at;
    return undefined;
  };

  /**
   * Rows that someone wrote: the bridge's own (permanent, one per link) and what it learnt are left out. So is a port's row for a
   * VLAN: of each that is written without one the kernel makes another for every VLAN of the port (`br_fdb_add`), which a new
   * port has one of, and it takes them away together.
   */
  readonly fdb = ({ view, start, end }: Message): true | undefined => {
    const state = view.getUint16(start + 8, true);
    const link = view.getUint32(start + 4, true);
    const at = this.#row('fdb');
    this.#words[at + FDB.link] = link;
    let [master, vlan] = [false, false];
    for (let next = start + nl.NDMSG_BYTES; next + NLA_HDRLEN <= end; ) {
      const length = view.getUint16(next, true);
      if (length < NLA_HDRLEN) break;
      const type = view.getUint16(next + 2, true) & NLA_TYPE_MASK;
      if (type === nl.NDA_LLADDR) this.#mac(at + FDB.mac, view, next, length);
      else if (type === nl.NDA_DST) {
        this.#address(at + FDB.vtep, view, next, length);
        this.#words[at + FDB.owner] = OF_DEVICE;
      } else if (type === nl.NDA_PORT) this.#words[at + FDB.port] = view.getUint16(next + NLA_HDRLEN);
      else if (type === nl.NDA_MASTER) master = true;
      else if (type === nl.NDA_VLAN) vlan = true;
      next += align(length);
    }
    if (this.#words[at + FDB.owner] === OF_DEVICE ? link === this.#tunnel : master && !vlan && isStatic(state))
      return true;
    this.#length = at;
    return undefined;
  };

  /** The last rows, as many as a dump has told: those before them are of one that had to be begun again. */
  take(kind: RowKind, count: number): Uint32Array {
    return this.#words.slice(this.#length - count * ROW_WORDS[kind], this.#length);
  }

  #address(at: number, view: DataView, attribute: number, length: number): void {
    const value = attribute + NLA_HDRLEN;
    if (length === NLA_HDRLEN + 4) {
      this.#words[at + 2] = MAPPED_IPV4;
      this.#words[at + 3] = view.getUint32(value);
    } else if (length === NLA_HDRLEN + 16)
      for (let word = 0; word < 4; word++) this.#words[at + word] = view.getUint32(value + 4 * word);
  }

  #mac(at: number, view: DataView, attribute: number, length: number): void {
    if (length !== NLA_HDRLEN + 6) return;
    this.#words[at] = view.getUint16(attribute + NLA_HDRLEN);
    this.#words[at + 1] = view.getUint32(attribute + NLA_HDRLEN + 2);
  }

  #row(kind: RowKind): number {
    const at = this.#length;
    this.#length += ROW_WORDS[kind];
    if (this.#length > this.#words.length) {
      const larger = new Uint32Array(2 * this.#words.length);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words.fill(0, at, this.#length);
    return at;
  }
}

/** As `bridge fdb` says: neither learnt nor the bridge's own. */
function isStatic(state: number): boolean {
  return (state & nl.NUD_NOARP) !== 0 && (state & nl.NUD_PERMANENT) === 0;
}

export function sameRows(a: Uint32Array | undefined, b: Uint32Array): boolean {
  if (a?.length !== b.length) return false;
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/**
 * Has rows of neighbours, or FDB rows but flood rows, set or deleted. `links`: indexes of the table's links. Returns what
 * became of those that failed, by position.
 */
export function writeRows(
  socket: Pick<NetlinkSocket, 'requestMany'>,
  table: RowTable,
  links: ReadonlyMap<number, number>,
  isSet: boolean,
): ReadonlyMap<number, Failure> {
  const { kind, words } = table;
  const size = ROW_WORDS[kind];
  const writeRow = kind === 'neighbour' ? writeNeighbour : writeFdb;
  const write = (position: number, view: DataView, into: number) => {
    const row = position * size;
    return writeRow(view, into, links.get(words[row]!)!, words, row);
  };
  const request = isSet
    ? { type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE }
    : { type: RTM_DELNEIGH, flags: 0 };
  return socket.requestMany({ ...request, count: rowCount(table), most: MOST_ROW_BYTES }, write);
}
