/**
 * Netlink messages (netlink(7)): a header of 16 bytes and a payload, padded to four bytes; one after another in a
 * datagram. A request is encoded without regard to the socket that sends it: sequence number and port id are the socket's.
 */
import { AttributeReader, align, viewOf } from './attributes.ts';
import * as nl from './uapi/netlink.ts';
import { NLMSG_HDRLEN } from './uapi/netlink.ts';

/** What is asked of the kernel. `flags`: `NLM_F_*` besides `NLM_F_REQUEST`, and `NLM_F_ACK` where it is awaited. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** A message in a datagram. Values are read from the view; none outlives the buffer that it is in. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Port id of the socket that asked; 0 for what nobody asked for. */
  readonly port: number;
  readonly view: DataView;
  /** Where the payload begins, and ends. */
  readonly start: number;
  readonly end: number;
}

/** Where the type of a datagram's first message is. */
export const TYPE_AT = 4;

/** Length of the message with its header and padding. */
export function messageBytes(request: Request): number {
  return align(NLMSG_HDRLEN + request.payload.length);
}

/** Writes the message at a place in a buffer that has {@link messageBytes} left. Returns where the next one goes. */
export function encodeMessage(request: Request, flags: number, sequence: number, into: Uint8Array, at: number): number {
  const length = NLMSG_HDRLEN + request.payload.length;
  writeMessageHeader(viewOf(into), at, length, request.type, request.flags | flags, sequence);
  into.set(request.payload, at + NLMSG_HDRLEN);
  const end = at + NLMSG_HDRLEN + request.payload.length;
  const next = at + messageBytes(request);
  into.fill(0, end, next);
  return next;
}

/** `struct nlmsghdr`, of a message of so many bytes with its header. */
export function writeMessageHeader(
  view: DataView,
  at: number,
  length: number,
  type: number,
  flags: number,
  sequence: number,
): void {
  view.setUint32(at, length, true);
  view.setUint16(at + 4, type, true);
  view.setUint16(at + 6, flags, true);
  view.setUint32(at + 8, sequence, true);
  view.setUint32(at + 12, 0, true);
}

/** The messages of a datagram, in order. One that is cut short ends it. */
export function* messagesOf(datagram: Uint8Array): Generator<Message> {
  const view = viewOf(datagram);
  for (let at = 0; at + NLMSG_HDRLEN <= datagram.length; ) {
    const length = view.getUint32(at, true);
    if (length < NLMSG_HDRLEN || at + length > datagram.length) return;
    yield {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      port: view.getUint32(at + 12, true),
      view,
      start: at + NLMSG_HDRLEN,
      end: at + length,
    };
    at += align(length);
  }
}

/** What the kernel says of a request; of an error, as much as it knows (extended acknowledgement, `NLMSGERR_ATTR_*`). */
export interface Acknowledgement {
  /** Number of the error, positive as in errno(3); 0: done. */
  readonly errno: number;
  /** The kernel's words; empty where it has none. */
  readonly text: string;
  /** Where in the request, its header included, the attribute begins that it does not take; undefined: it names none. */
  readonly refusedAt: number | undefined;
  /** Type of the attribute that it misses; undefined: it names none. */
  readonly missing: number | undefined;
}

/** Of `NLMSG_ERROR`: `struct nlmsgerr`, the error and the request (its header alone, when capped), and attributes. */
export function decodeError({ view, flags, start, end }: Message): Acknowledgement {
  const errno = start + 4 <= end ? 0 - view.getInt32(start, true) : 0;
  const request = flags & nl.NLM_F_CAPPED || start + 8 > end ? NLMSG_HDRLEN : align(view.getUint32(start + 4, true));
  return { errno, ...readExtension(flags, new AttributeReader(view, start + 4 + request, end)) };
}

/** Of `NLMSG_DONE`, which ends a dump: an error, and attributes. */
export function decodeDone({ view, flags, start, end }: Message): Acknowledgement {
  const errno = start + 4 <= end ? 0 - view.getInt32(start, true) : 0;
  // A count of what was told, in older kernels.
  return { errno: Math.max(0, errno), ...readExtension(flags, new AttributeReader(view, start + 4, end)) };
}

function readExtension(flags: number, attributes: AttributeReader): Omit<Acknowledgement, 'errno'> {
  let text = '';
  let refusedAt: number | undefined;
  let missing: number | undefined;
  while (flags & nl.NLM_F_ACK_TLVS && attributes.next()) {
    if (attributes.type === nl.NLMSGERR_ATTR_MSG) text = attributes.text();
    else if (attributes.type === nl.NLMSGERR_ATTR_OFFS) refusedAt = attributes.u32();
    else if (attributes.type === nl.NLMSGERR_ATTR_MISS_TYPE) missing = attributes.u32();
  }
  return { text, refusedAt, missing };
}
