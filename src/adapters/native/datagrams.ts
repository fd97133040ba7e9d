/** Receives many datagrams by one call (recvmmsg(2)), each with what the kernel says beside it. */
import { allocate, callNow, libc, type NativeMemory } from './system-call.ts';

/** Nobody has to wait for long while so many are looked at. */
const AT_ONCE = 32;
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

export interface Datagram {
  /** In a buffer that the next call uses again. */
  readonly bytes: Uint8Array;
  /** It was longer: what is missing is lost. */
  readonly truncated: boolean;
  /** A 32-bit number that came as control message. */
  readonly control: { readonly level: number; readonly type: number; readonly value: number } | undefined;
}

interface Room {
  readonly memory: NativeMemory;
  readonly view: DataView;
  readonly controls: number;
  readonly data: number;
}

let room: Room | undefined;

/**
 * Hands over what waits, up to a few dozen. Returns whether there may be more. Throws `ENOBUFS` when there was no room for
 * something that came since the last call: that is lost.
 */
export function receiveDatagrams(fd: number, take: (datagram: Datagram) => void): boolean {
  room ??= furnish();
  const { memory, view, controls, data } = room;
  for (let at = 0; at < AT_ONCE; at++) {
    view.setBigUint64(at * HEADER_BYTES + HEADER.controllen, BigInt(CONTROL_BYTES), true);
  }
  const count = callNow('recvmmsg', recvmmsg, [fd, memory.pointer, AT_ONCE, MSG_DONTWAIT, null]) ?? 0;
  for (let at = 0; at < count; at++) {
    const header = at * HEADER_BYTES;
    const control = controls + at * CONTROL_BYTES;
    const start = data + at * DATAGRAM_BYTES;
    const hasControl = view.getUint32(header + HEADER.controllen, true) >= CMSG.data + 4;
    take({
      bytes: memory.bytes.subarray(start, start + view.getUint32(header + HEADER.received, true)),
      truncated: (view.getUint32(header + HEADER.flags, true) & MSG_TRUNC) !== 0,
      control: hasControl
        ? {
            level: view.getInt32(control + CMSG.level, true),
            type: view.getInt32(control + CMSG.type, true),
            value: view.getInt32(control + CMSG.data, true),
          }
        : undefined,
    });
  }
  return count === AT_ONCE;
}

/** Headers, each with the place of its control message and, by an `iovec`, of its data; a thread needs it once. */
function furnish(): Room {
  const iovecs = AT_ONCE * HEADER_BYTES;
  const controls = iovecs + AT_ONCE * IOVEC_BYTES;
  const data = controls + AT_ONCE * CONTROL_BYTES;
  const memory = allocate(data + AT_ONCE * DATAGRAM_BYTES);
  const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.byteLength);
  const place = (at: number, offset: number) => view.setBigUint64(at, memory.address + BigInt(offset), true);
  for (let at = 0; at < AT_ONCE; at++) {
    const header = at * HEADER_BYTES;
    const iovec = iovecs + at * IOVEC_BYTES;
    place(iovec, data + at * DATAGRAM_BYTES);
    view.setBigUint64(iovec + 8, BigInt(DATAGRAM_BYTES), true);
    place(header + HEADER.iov, iovec);
    view.setBigUint64(header + HEADER.iovlen, 1n, true);
    place(header + HEADER.control, controls + at * CONTROL_BYTES);
  }
  return { memory, view, controls, data };
}
