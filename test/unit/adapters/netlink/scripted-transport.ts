/** A kernel that answers what a test says, datagram by datagram, and datagrams built byte by byte. */
import { align, PayloadWriter, viewOf } from '../../../../src/adapters/netlink/attributes.ts';
import { encodeMessage, type Message, messageBytes, messagesOf } from '../../../../src/adapters/netlink/message.ts';
import type { Transport } from '../../../../src/adapters/netlink/transport.ts';
import * as nl from '../../../../src/adapters/netlink/uapi/netlink.ts';

/** What a system call says. */
export const systemError = (code: string) => Object.assign(new Error(`recv: ${code}`), { code });

/** Answers to one datagram of requests; an error is what receiving says in its turn. */
export type Answer = (requests: readonly [Message, ...Message[]], nth: number) => readonly (Uint8Array | Error)[];

export class ScriptedTransport implements Transport {
  readonly port = 4711;
  readonly bufferBytes: number;
  /** Of each datagram that was sent, its requests: sequence number and flags. */
  readonly sent: { readonly sequence: number; readonly flags: number }[][] = [];
  closed = false;
  readonly #answer: Answer;
  readonly #waiting: (Uint8Array | Error)[] = [];

  constructor(answer: Answer, bufferBytes = 64 * 1024) {
    this.#answer = answer;
    this.bufferBytes = bufferBytes;
  }

  send(datagram: Uint8Array): void {
    const requests = [...messagesOf(datagram.slice())] as [Message, ...Message[]];
    const nth = this.sent.push(requests.map(({ sequence, flags }) => ({ sequence, flags }))) - 1;
    this.#waiting.push(...this.#answer(requests, nth));
  }

  async sendLater(datagram: Uint8Array): Promise<void> {
    this.send(datagram);
  }

  nextLength(): number | undefined {
    return this.#next(false)?.length;
  }

  receive(into: Uint8Array): number | undefined {
    const datagram = this.#next(true);
    if (!datagram) return undefined;
    const room = datagram.subarray(0, into.length);
    into.set(room);
    return room.length;
  }

  /** Nothing comes by itself. */
  wait(): void {
    if (this.#waiting.length === 0) throw systemError('nothing is on its way');
  }

  indexOf(): undefined {
    return undefined;
  }

  hasIndex(): boolean {
    return false;
  }

  close(): void {
    this.closed = true;
  }

  #next(take: boolean): Uint8Array | undefined {
    const [next] = this.#waiting;
    // The kernel tells of what was lost once, whoever asks.
    if (take || next instanceof Error) this.#waiting.shift();
    if (next instanceof Error) throw next;
    return next;
  }
}

/** A message as the kernel sends it, to the socket with that port. */
export interface Told {
  readonly type: number;
  readonly sequence: number;
  readonly flags?: number;
  readonly port?: number;
  readonly payload?: Uint8Array;
}

/** One datagram. */
export function datagram(...messages: readonly Told[]): Uint8Array {
  const parts = messages.map(({ type, sequence, flags = 0, port = 4711, payload = new Uint8Array(4) }) => {
    const request = { type, flags, payload };
    const bytes = new Uint8Array(messageBytes(request));
    encodeMessage(request, 0, sequence, bytes, 0);
    viewOf(bytes).setUint32(12, port, true);
    return bytes;
  });
  return Buffer.concat(parts);
}

/** Of `NLMSG_ERROR` (`to`: it is capped after the request's header), or of `NLMSG_DONE`. `errno`: positive. */
export function errorPayload(errno: number, extension?: (writer: PayloadWriter) => void, to?: Message): Uint8Array {
  const writer = new PayloadWriter();
  writer.header(4, (view, at) => view.setInt32(at, -errno, true));
  if (to) {
    const { view, start, end } = to;
    writer.header(align(nl.NLMSG_HDRLEN), (into, at) => {
      for (let nth = 0; nth < nl.NLMSG_HDRLEN; nth++) into.setUint8(at + nth, view.getUint8(start - 16 + nth));
      into.setUint32(at, 16 + end - start, true);
    });
  }
  extension?.(writer);
  return writer.payload().slice();
}

/** What becomes of a request: 0, or a number of errno(3) and what the kernel has to say besides. */
export function acknowledge(request: Message, errno = 0, extension?: (writer: PayloadWriter) => void): Told {
  const flags = nl.NLM_F_CAPPED | (extension ? nl.NLM_F_ACK_TLVS : 0);
  return {
    type: nl.NLMSG_ERROR,
    sequence: request.sequence,
    flags,
    payload: errorPayload(errno, extension, request),
  };
}
