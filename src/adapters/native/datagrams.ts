/** Receives many datagrams by one call (recvmmsg(2)), each with what the kernel says beside it. */
import { allocate, callNow, libc, type NativeMemory } from './system-call.ts';

/** Nobody has to wait for long while so many are looked at. */
export const AT_ONCE = 32;
/** Events of the kernel are shorter, but for those of links with hundreds of parts. */
const DATAGRAM_BYTES = 8 * 1024;
/** One control message. */
const CONTROL_BYTES = 64;
/** `struct mmsghdr` of 64-bit systems, and `struct iovec`. */
const HEADER_BYTES = 64;
const IOVEC_BYTES = 16;
const HEADER = { iov: 16, iovlen: 24, control: 32, controllen: 40, flags: 48, received: 56 } as const;
/** `struct cmsghdr`: length (8 bytes), level, type. */
const CMSG = { level: 8, type: 12, data: 16 } as const;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;

const recvmmsg = libc('int recvmmsg(int fd, void *messages, uint32_t count, int flags, void *timeout)');

/** One place of the room, which the next call uses again. Of thousands most are looked at for a few bytes alone. */
export class Datagram {
  readonly #memory: NativeMemory;
  readonly #view: DataView;
  readonly #header: number;
  readonly #control: number;
  readonly #start: number;

  constructor(memory: NativeMemory, view: DataView, at: { header: number; control: number; start: number }) {
    this.#memory = memory;
    this.#view = view;
    this.#header = at.header;
    this.#control = at.control;
    this.#start = at.start;
  }

  get length(): number {
    return this.#view.getUint32(this.#header + HEADER.received, true);
  }

  get bytes(): Uint8Array {
    return this.#memory.bytes.subarray(this.#start, this.#start + this.length);
  }

  /** It was longer: what is missing is lost. */
  get truncated(): boolean {
    return (this.#view.getUint32(this.#header + HEADER.flags, true) & MSG_TRUNC) !== 0;
  }

  /** The 32-bit number that came as control message of that kind. */
  control(level: number, type: number): number | undefined {
    const view = this.#view;
    const at = this.#control;
    if (view.getUint32(this.#header + HEADER.controllen, true) < CMSG.data + 4) return undefined;
    const isSuch = view.getInt32(at + CMSG.level, true) === level && view.getInt32(at + CMSG.type, true) === type;
    return isSuch ? view.getInt32(at + CMSG.data, true) : undefined;
  }
}

interface Room {
  readonly memory: NativeMemory;
  readonly view: DataView;
  readonly places: readonly Datagram[];
}

let room: Room | undefined;

/**
 * Hands over what waits, up to a few dozen. Returns whether there may be more. Throws `ENOBUFS` when there was no room for
 * something that came since the last call: that is lost.
 */
export function receiveDatagrams(fd: number, take: (datagram: Datagram) => void): boolean {
  room ??= furnish();
  const { memory, view, places } = room;
  for (let at = 0; at < AT_ONCE; at++) view.setUint32(at * HEADER_BYTES + HEADER.controllen, CONTROL_BYTES, true);
  const count = callNow('recvmmsg', recvmmsg, [fd, memory.pointer, AT_ONCE, MSG_DONTWAIT, null]) ?? 0;
  for (let at = 0; at < count; at++) take(places[at]!);
  return count === AT_ONCE;
}

/** Headers, each with the place of its control message and, by an `iovec`, of its data; a thread needs it once. */
function furnish(): Room {
  const iovecs = AT_ONCE * HEADER_BYTES;
  const controls = iovecs + AT_ONCE * IOVEC_BYTES;
  const data = controls + AT_ONCE * CONTROL_BYTES;
  const memory = allocate(data + AT_ONCE * DATAGRAM_BYTES);
  const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.byteLength);
  const places: Datagram[] = [];
  const place = (at: number, offset: number) => view.setBigUint64(at, memory.address + BigInt(offset), true);
  for (let at = 0; at < AT_ONCE; at++) {
    const header = at * HEADER_BYTES;
    const iovec = iovecs + at * IOVEC_BYTES;
    place(iovec, data + at * DATAGRAM_BYTES);
    view.setBigUint64(iovec + 8, BigInt(DATAGRAM_BYTES), true);
    place(header + HEADER.iov, iovec);
    view.setBigUint64(header + HEADER.iovlen, 1n, true);
    const control = controls + at * CONTROL_BYTES;
    place(header + HEADER.control, control);
    places.push(new Datagram(memory, view, { header, control, start: data + at * DATAGRAM_BYTES }));
  }
  return { memory, view, places };
}
