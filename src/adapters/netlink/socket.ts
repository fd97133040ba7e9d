/**
 * A netlink socket (netlink(7)) that asks the kernel of one namespace, in which it was opened and which it keeps alive until
 * it is closed. All calls block: it belongs to a worker, or asks what is answered at once.
 *
 * The kernel works on what is sent while it is sent, and its answers wait in the socket's buffer. So many requests go as
 * one datagram, of which the last alone asks for an acknowledgement: of what goes wrong the kernel tells in any case, and
 * of all that is not told of by then it went well. A datagram holds no more requests than answers fit into the buffer.
 */
import { OverlaydError } from '../../core/errors.ts';
import { describeErrno, type SystemCallError } from '../native/system-call.ts';
import { viewOf } from './attributes.ts';
import {
  type Acknowledgement,
  decodeDone,
  decodeError,
  encodeMessage,
  type Message,
  messageBytes,
  messagesOf,
  type Request,
  writeMessageHeader,
} from './message.ts';
import { KernelTransport, type Transport } from './transport.ts';
import * as nl from './uapi/netlink.ts';

/** What became of a request. `code`: the error's name (`EEXIST`); `text`: the kernel's own words, or the error's. */
export type Outcome = { readonly ok: true } | Failure;
export interface Failure {
  readonly ok: false;
  readonly code: string;
  readonly text: string;
}

/** Requests of one type. `flags`: as of {@link Request}; `most`: bytes of the longest payload. */
export interface ManyRequests {
  readonly type: number;
  readonly flags: number;
  readonly count: number;
  readonly most: number;
}

export interface NetlinkOptions {
  /** `NETLINK_ROUTE` when it is not given. */
  readonly protocol?: number;
  /** Path of the namespace (`/run/netns/c1`, `/proc/7/ns/net`); undefined: where the thread is. */
  readonly namespace?: string | undefined;
  /** How long an answer is waited for, milliseconds. */
  readonly timeoutMs?: number;
}

const DONE: Outcome = { ok: true };
const LOST: Failure = { ok: false, code: 'ENOBUFS', text: "the kernel's answer was lost" };
const TIMEOUT_MS = 10_000;
/** Far below what the kernel takes at once, the send buffer (`net.core.wmem_default`, 208 KiB). */
const SEND_BYTES = 64 * 1024;
/** What the kernel counts of the receive buffer for an answer, at most. */
const ANSWER_BYTES = 4 * 1024;
/** The kernel fills up to 32 KiB of a dump into a datagram. */
const DATAGRAM_BYTES = 64 * 1024;
const MOST_DUMPS = 8;

/** Buffers of sockets that were closed: most are open for a moment, and memory is taken for longer. */
const spare: { readonly out: Uint8Array; in: Uint8Array }[] = [];
const MOST_SPARE = 4;

export class NetlinkSocket {
  readonly #transport: Transport;
  readonly #timeoutMs: number;
  readonly #where: string;
  readonly #most: number;
  readonly #buffers = spare.pop() ?? { out: new Uint8Array(SEND_BYTES), in: new Uint8Array(DATAGRAM_BYTES) };
  #sequence = Math.floor(Math.random() * 2 ** 31);
  #closed = false;

  /** `transport`: what stands in for the kernel. Throws as `openNetlink` does. */
  constructor(options: NetlinkOptions = {}, transport?: Transport) {
    const { protocol = nl.NETLINK_ROUTE, namespace, timeoutMs = TIMEOUT_MS } = options;
    this.#timeoutMs = timeoutMs;
    this.#where = namespace ?? 'the host';
    this.#transport = transport ?? new KernelTransport(protocol, namespace);
    this.#most = Math.max(1, Math.floor(this.#transport.bufferBytes / ANSWER_BYTES));
  }

  /**
   * Has all of them done, in order, whatever becomes of those before. Returns what became of each. `onAnswer` gets what the
   * kernel answers beside, of requests that read (`RTM_GET…`): their position and the message.
   */
  request(requests: readonly Request[], onAnswer?: (position: number, message: Message) => void): Outcome[] {
    const outcomes: Outcome[] = [];
    while (outcomes.length < requests.length) {
      // Answers were lost, and the socket with them.
      if (this.#closed && outcomes.length > 0) throw this.#failed(LOST.text);
      outcomes.push(...this.#requestSome(requests, outcomes.length, onAnswer));
    }
    return outcomes;
  }

  /**
   * As {@link request}, of thousands of one type whose payloads `write` puts straight into the buffer at `at`, of
   * `most` bytes at most and whole words; it returns where one ends. Returns what became of those that failed, by position.
   */
  requestMany(
    { type, flags, count, most }: ManyRequests,
    write: (position: number, view: DataView, at: number) => number,
  ): Map<number, Failure> {
    const failures = new Map<number, Failure>();
    const view = viewOf(this.#buffers.out);
    const atOnce = Math.min(this.#most, Math.floor(SEND_BYTES / (nl.NLMSG_HDRLEN + most)));
    for (let from = 0; from < count; from += atOnce) {
      const first = this.#sequence + 1;
      const last = Math.min(count, from + atOnce) - 1;
      let at = 0;
      for (let position = from; position <= last; position++) {
        const start = at;
        at = write(position, view, start + nl.NLMSG_HDRLEN);
        const all = flags | nl.NLM_F_REQUEST | (position === last ? nl.NLM_F_ACK : 0);
        writeMessageHeader(view, start, at - start, type, all, this.#next());
      }
      this.#send(at);
      const outcomes = this.#judge(first, Array<Outcome>(last - from + 1).fill(DONE), () => undefined);
      for (let nth = 0; nth < outcomes.length; nth++) {
        const outcome = outcomes[nth]!;
        if (!outcome.ok) failures.set(from + nth, outcome);
      }
      // Answers were lost, and the socket with them.
      if (this.#closed && last < count - 1) throw this.#failed(LOST.text);
    }
    return failures;
  }

  /**
   * Has one thing done that takes its time, without blocking this thread: the kernel works on it in another one. The socket
   * must be asked for nothing else meanwhile.
   */
  async requestLater(request: Request): Promise<Outcome> {
    const first = this.#sequence + 1;
    const end = encodeMessage(request, nl.NLM_F_REQUEST | nl.NLM_F_ACK, this.#next(), this.#buffers.out, 0);
    await this.#sendLater(this.#buffers.out.subarray(0, end));
    return this.#judge(first, [DONE], () => undefined)[0]!;
  }

  /** Asks for one thing. Undefined when the kernel says that there is none, by one of these errors (`ENODEV`); else throws. */
  get<T>(request: Request, decode: (message: Message) => T, none: readonly string[] = []): T | undefined {
    let value: T | undefined;
    const [outcome] = this.request([request], (_, message) => {
      value = decode(message);
    });
    if (outcome?.ok === false && !none.includes(outcome.code)) throw this.#refused(outcome);
    return value;
  }

  /** As of `linkIndex`. */
  indexOf(name: string): number | undefined {
    this.#checkOpen();
    return this.#transport.indexOf(name);
  }

  hasIndex(index: number): boolean {
    this.#checkOpen();
    return this.#transport.hasIndex(index);
  }

  /**
   * Everything of a kind; what `decode` has no value for is left out. One that changed while it was told is asked for again.
   * By one of the errors `none` the kernel says that there is nothing. Throws `data-path-failed`, retryable.
   */
  dump<T>(request: Request, decode: (message: Message) => T | undefined, none: readonly string[] = []): T[] {
    for (let tried = 0; tried < MOST_DUMPS; tried++) {
      const rows = this.#dumpOnce(request, decode, none);
      if (rows) return rows;
    }
    throw this.#unsteady();
  }

  /** As {@link dump}, where the kernel looks for a while before it has anything to tell: that is another thread's time. */
  async dumpLater<T>(
    request: Request,
    decode: (message: Message) => T | undefined,
    none: readonly string[] = [],
  ): Promise<T[]> {
    for (let tried = 0; tried < MOST_DUMPS; tried++) {
      const sequence = this.#next();
      await this.#sendLater(this.#encodeDump(request, sequence));
      const rows = this.#readDump(sequence, decode, none);
      if (rows) return rows;
    }
    throw this.#unsteady();
  }

  /** Also after what leaves nothing to be asked of it: another one is opened then. */
  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transport.close();
    if (spare.length < MOST_SPARE) spare.push(this.#buffers);
  }

  #requestSome(
    requests: readonly Request[],
    from: number,
    onAnswer: ((position: number, message: Message) => void) | undefined,
  ): Outcome[] {
    const first = this.#sequence + 1;
    return this.#judge(first, this.#sendSome(requests, from), (at, message) => onAnswer?.(from + at, message));
  }

  /** What becomes of requests that were sent, the first with that sequence number: the outcomes, put right. */
  #judge(first: number, outcomes: Outcome[], onAnswer: (position: number, message: Message) => void): Outcome[] {
    const last = outcomes.length - 1;
    for (;;) {
      const answer = this.#receive(false);
      // Answers were lost: of those requests that nothing was heard of, nothing is known.
      if (answer === 'lost') {
        this.close();
        return outcomes.map((outcome) => (outcome.ok ? LOST : outcome));
      }
      for (const message of messagesOf(answer)) {
        const at = this.#positionOf(message, first);
        if (at === undefined || at > last) continue;
        if (message.type !== nl.NLMSG_ERROR) {
          onAnswer(at, message);
          continue;
        }
        outcomes[at] = outcomeOf(decodeError(message));
        if (at === last) return outcomes;
      }
    }
  }

  /** As many as go at once. Returns one outcome for each, as it is unless the kernel says otherwise. */
  #sendSome(requests: readonly Request[], from: number): Outcome[] {
    let [at, count] = [0, 0];
    for (;;) {
      const request = requests[from + count];
      if (!request || count === this.#most) break;
      if (at + messageBytes(request) > SEND_BYTES) break;
      const after = requests[from + count + 1];
      const isLast =
        after === undefined ||
        count + 1 === this.#most ||
        at + messageBytes(request) + messageBytes(after) > SEND_BYTES;
      at = encodeMessage(request, nl.NLM_F_REQUEST | (isLast ? nl.NLM_F_ACK : 0), this.#next(), this.#buffers.out, at);
      count++;
    }
    if (count === 0) throw new OverlaydError('internal', `a netlink request of more than ${SEND_BYTES} bytes`);
    this.#send(at);
    return Array.from({ length: count }, () => DONE);
  }

  /** Undefined: it has to be asked again. */
  #dumpOnce<T>(
    request: Request,
    decode: (message: Message) => T | undefined,
    none: readonly string[],
  ): T[] | undefined {
    const sequence = this.#next();
    this.#send(this.#encodeDump(request, sequence).length);
    return this.#readDump(sequence, decode, none);
  }

  #encodeDump(request: Request, sequence: number): Uint8Array {
    const flags = nl.NLM_F_REQUEST | nl.NLM_F_DUMP;
    return this.#buffers.out.subarray(0, encodeMessage(request, flags, sequence, this.#buffers.out, 0));
  }

  #readDump<T>(
    sequence: number,
    decode: (message: Message) => T | undefined,
    none: readonly string[],
  ): T[] | undefined {
    const rows: T[] = [];
    let whole = true;
    for (;;) {
      const answer = this.#receive(true);
      if (answer === 'lost') throw this.#broken('its answers were lost');
      for (const message of messagesOf(answer)) {
        if (this.#positionOf(message, sequence) !== 0) continue;
        if (message.flags & nl.NLM_F_DUMP_INTR) whole = false;
        if (message.type === nl.NLMSG_DONE || message.type === nl.NLMSG_ERROR) {
          const outcome = outcomeOf(message.type === nl.NLMSG_DONE ? decodeDone(message) : decodeError(message));
          if (outcome.ok) return whole ? rows : undefined;
          if (none.includes(outcome.code)) return [];
          throw this.#refused(outcome);
        }
        const row = decode(message);
        if (row !== undefined) rows.push(row);
      }
    }
  }

  /**
   * The next datagram, in a buffer that the next call uses again; `lost` when there were some that found no room. `sized`:
   * of any length; else, as acknowledgements are, of at most {@link DATAGRAM_BYTES}.
   */
  #receive(sized: boolean): Uint8Array | 'lost' {
    const deadline = performance.now() + this.#timeoutMs;
    for (;;) {
      const length = this.#guard(() => {
        if (sized) {
          const waiting = this.#transport.nextLength();
          if (waiting === undefined) return undefined;
          if (waiting > this.#buffers.in.length) this.#buffers.in = new Uint8Array(2 * waiting);
        }
        return this.#transport.receive(this.#buffers.in);
      });
      if (length === 'ENOBUFS') return 'lost';
      if (length !== undefined) return this.#buffers.in.subarray(0, length);
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) throw this.#broken(`no answer in ${this.#timeoutMs} ms`);
      this.#transport.wait(left);
    }
  }

  /** What the system says of the socket itself; `ENOBUFS` is an answer. */
  #guard<T>(task: () => T): T | 'ENOBUFS' {
    this.#checkOpen();
    try {
      return task();
    } catch (error) {
      if ((error as SystemCallError).code === 'ENOBUFS') return 'ENOBUFS';
      throw this.#broken((error as Error).message, error);
    }
  }

  /** Which of the requests from `first` on it answers; undefined: none of them, an answer to what was given up. */
  #positionOf(message: Message, first: number): number | undefined {
    if (message.port !== this.#transport.port) return undefined;
    const at = (message.sequence - first) >>> 0;
    return at <= this.#most ? at : undefined;
  }

  #next(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }

  #send(length: number): void {
    const sent = this.#guard(() => this.#transport.send(this.#buffers.out.subarray(0, length)));
    if (sent === 'ENOBUFS') throw this.#broken('the kernel has no memory for the request');
  }

  async #sendLater(datagram: Uint8Array): Promise<void> {
    this.#checkOpen();
    try {
      await this.#transport.sendLater(datagram);
    } catch (error) {
      throw this.#broken((error as Error).message, error);
    }
  }

  /** The descriptor may be somebody else's already. */
  #checkOpen(): void {
    if (this.#closed) throw this.#failed('the socket is closed');
  }

  /** What may still be answered would be taken for the answer to something else, or hold up the next dump. */
  #broken(reason: string, cause?: unknown): OverlaydError {
    this.close();
    return this.#failed(reason, cause);
  }

  #unsteady(): OverlaydError {
    return this.#failed(`what it tells changed each of the ${MOST_DUMPS} times that it was asked; try again`);
  }

  #failed(reason: string, cause?: unknown): OverlaydError {
    const message = `asking the kernel by netlink (${this.#where}) failed: ${reason}`;
    return new OverlaydError('data-path-failed', message, { retryable: true, cause });
  }

  #refused({ code, text }: Extract<Outcome, { ok: false }>): OverlaydError {
    return this.#failed(`${text} (${code})`);
  }
}

/** In the kernel's words; where it has none, in those of the error, and which attribute of the request it is about. */
export function outcomeOf({ errno, text, refusedAt, missing }: Acknowledgement): Outcome {
  if (errno === 0) return DONE;
  const { code, message } = describeErrno(errno);
  if (text !== '') return { ok: false, code, text };
  const where = refusedAt === undefined ? '' : `, of the attribute at byte ${refusedAt} of the request`;
  const what = missing === undefined ? '' : `, attribute ${missing} is missing`;
  return { ok: false, code, text: `${message}${where}${what}` };
}
