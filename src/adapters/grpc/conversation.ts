/**
 * Questions and answers on one open stream, many at a time, told apart by their numbers. A call for each would take
 * more than twice the processor time: headers there and back, and the objects that a call is made of at both ends.
 */
import { type ClientDuplexStream, type ServerDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { asOverlaydError, type OverlaydError } from '../../core/errors.ts';
import type { GossipMessage } from '../../core/gossip/message.ts';
import type { Answer, Question, GossipMessage as WireMessage } from '../../gen/overlayd/v1/gossip.ts';
import { codedError } from './control-failure.ts';

/** Of one stream; what comes besides is not read before one of them is answered. */
const MOST_AT_ONCE = 64;
/** Questions that the other end has not taken when one is late: it does not read, and more would only be kept here. */
const MOST_UNREAD = 64;

/** The end of a request that has no answer: what the other end said, how the stream ended, or nothing in time. */
export type Unanswered =
  | { readonly kind: 'failure'; readonly error: OverlaydError }
  | { readonly kind: 'ended'; readonly error: Pick<ServiceError, 'code' | 'details'> }
  | { readonly kind: 'late' };

export type Outcome = { readonly kind: 'message'; readonly message: WireMessage } | Unanswered;

interface Waiting {
  readonly settle: (outcome: Outcome) => void;
  readonly limit: NodeJS.Timeout;
}

/** The asking end. */
export class Conversation {
  readonly #stream: ClientDuplexStream<Question, Answer>;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #isOver = false;
  #isEnding = false;

  constructor(stream: ClientDuplexStream<Question, Answer>) {
    this.#stream = stream;
    stream.on('data', ({ number, content }: Answer) => {
      if (content?.$case === 'message') this.#settle(number, { kind: 'message', message: content.value });
      if (content?.$case !== 'failure') return;
      const { code, text, retryable } = content.value;
      this.#settle(number, { kind: 'failure', error: codedError(code, text, retryable) });
    });
    stream.on('error', (error: ServiceError) => this.#over(error));
    stream.on('end', () => this.#over({ code: status.UNAVAILABLE, details: 'it ended the conversation' }));
  }

  /** Nothing can be asked any more: another one is to be opened. */
  get isOver(): boolean {
    return this.#isOver || this.#isEnding;
  }

  /** Never rejects. */
  ask(message: GossipMessage, timeoutMs: number): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.#last = (this.#last + 1) >>> 0;
    const number = this.#last;
    const limit = setTimeout(() => this.#late(number), timeoutMs);
    this.#waiting.set(number, { settle: resolve, limit });
    // The codec's types are mutable; it only reads.
    this.#stream.write({ number, message: message as WireMessage });
    return promise;
  }

  /** Asks nothing more, and closes the stream as soon as nothing is waited for. */
  end(): void {
    this.#isEnding = true;
    if (this.#waiting.size === 0) this.#stream.cancel();
  }

  /** The stream stays where the other end reads: an answer that comes too late is one to nobody. */
  #late(number: number): void {
    this.#settle(number, { kind: 'late' });
    if (this.#stream.writableLength < MOST_UNREAD) return;
    this.#isOver = true;
    for (const waiting of [...this.#waiting.keys()]) this.#settle(waiting, { kind: 'late' });
    this.#stream.cancel();
  }

  #settle(number: number, outcome: Outcome): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    clearTimeout(waiting.limit);
    waiting.settle(outcome);
    if (this.#isEnding && this.#waiting.size === 0) this.#stream.cancel();
  }

  #over(error: Pick<ServiceError, 'code' | 'details'>): void {
    this.#isOver = true;
    for (const number of [...this.#waiting.keys()]) this.#settle(number, { kind: 'ended', error });
  }
}

/** The answering end: `answer` is asked for each question; what it throws is what the other end is told. */
export function answerAll(
  stream: ServerDuplexStream<Question, Answer>,
  answer: (message: WireMessage) => Promise<GossipMessage>,
): void {
  let open = 0;
  let hasEnded = false;
  const settle = () => {
    if (open-- === MOST_AT_ONCE) stream.resume();
    if (hasEnded && open === 0) stream.end();
  };
  const reply = (value: Answer) => {
    // An end that does not read what it is told is not asked for more.
    if (!stream.writable) settle();
    else stream.write(value, settle);
    // Nothing else is to be had here by somebody who is refused.
    if (value.content?.$case === 'failure' && value.content.value.code === 'peer-refused') stream.end();
  };
  stream.on('data', ({ number, message }: Question) => {
    if (message === undefined) return;
    if (++open === MOST_AT_ONCE) stream.pause();
    answer(message).then(
      (value) => reply({ number, content: { $case: 'message', value: value as WireMessage } }),
      (thrown: unknown) => {
        const { code, message: text, retryable } = asOverlaydError(thrown);
        reply({ number, content: { $case: 'failure', value: { code, text, retryable } } });
      },
    );
  });
  stream.on('end', () => {
    hasEnded = true;
    if (open === 0) stream.end();
  });
  // It is gone, and so is who asked.
  stream.on('error', () => undefined);
}
