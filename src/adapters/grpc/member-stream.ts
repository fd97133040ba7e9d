/** A stream in which a member tells another one of its own host: the teller's end and the hearer's. */
import { once } from 'node:events';
import {
  type ChannelCredentials,
  type ClientOptions,
  type ClientReadableStream,
  connectivityState,
  type ServerWritableStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { Gate } from '../../core/gate.ts';
import { MembersClient } from '../../gen/overlayd/v1/members.ts';
import type { Peer } from '../../ports/peers.ts';
import { decodeError, encodeError, placeOf, unreachable } from './error.ts';

const CONNECT_MS = 1_500;

export type MemberCall<Q = unknown, B = unknown> = ServerWritableStream<Q, B>;

/** Says which member calls, and throws when it is none. */
export type RequireMember = (call: MemberCall) => string;

export interface ShareLimits {
  readonly atOnce: number;
  /** So many may begin in a row; time gives back. */
  readonly credit: number;
  readonly creditPerSecond: number;
}

/** Why one more is refused, in words. */
export interface ShareRefusals {
  readonly atOnce: string;
  readonly tooOften: string;
}

/** What each member may ask for: so much at a time, and so often. */
export class MemberShares {
  readonly #gate: Gate;
  readonly #elapsed: () => number;
  readonly #refusals: ShareRefusals;

  /** `elapsed`: milliseconds, by a clock that is not set. */
  constructor({ atOnce, ...rate }: ShareLimits, refusals: ShareRefusals, elapsed: () => number) {
    this.#gate = new Gate({ perSource: atOnce, total: Number.POSITIVE_INFINITY, ...rate });
    this.#elapsed = elapsed;
    this.#refusals = refusals;
  }

  /** Throws `conflict`, retryable, when that is more than the member's share. */
  async during(nodeId: string, work: () => Promise<void>): Promise<void> {
    const now = this.#elapsed();
    if (!this.#gate.charge(nodeId, 0, now)) throw refused(this.#refusals.tooOften);
    if (!this.#gate.enter(nodeId, now)) throw refused(this.#refusals.atOnce);
    try {
      await work();
    } finally {
      this.#gate.leave(nodeId);
    }
  }
}

function refused(words: string): OverlaydError {
  return new OverlaydError('conflict', words, { retryable: true });
}

/** Ends the call when all is told; the signal of `tell` aborts when the caller goes. */
export function tellMember<Q, B>(
  call: MemberCall<Q, B>,
  tell: (signal: AbortSignal) => AsyncIterable<B>,
  { shares, require }: { readonly shares: MemberShares; readonly require: RequireMember },
): void {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  call.on('error', () => gone.abort());
  const tellAll = async () => {
    await shares.during(require(call as MemberCall), async () => {
      for await (const batch of tell(gone.signal)) {
        // It may have been removed while it listens.
        require(call as MemberCall);
        if (!call.write(batch)) await once(call, 'drain', { signal: gone.signal });
      }
    });
  };
  tellAll().then(
    () => call.end(),
    (thrown: unknown) => {
      if (!gone.signal.aborted) call.emit('error', encodeError(thrown));
    },
  );
}

export interface MemberWay {
  readonly secure: ChannelCredentials;
  readonly options: ClientOptions;
  readonly signal: AbortSignal;
}

/**
 * What the member tells, as it comes. Throws `peer-unreachable`, and `version-mismatch` where its release does not know the question:
 * `lacks` says in words what it does without. Ends when the signal aborts.
 */
export async function* hearMember<T>(
  peer: Peer,
  open: (client: MembersClient) => ClientReadableStream<T>,
  { secure, options, signal }: MemberWay,
  lacks: string,
): AsyncGenerator<T> {
  const client = new MembersClient(peer.address, secure, options);
  const stream = open(client);
  const abort = () => stream.cancel();
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  // gRPC itself waits for a silent host without end.
  const limit = setTimeout(() => {
    if (client.getChannel().getConnectivityState(false) === connectivityState.READY) return;
    stream.destroy(unreachable(`${placeOf(peer)} cannot be reached`, undefined));
  }, CONNECT_MS);
  try {
    yield* stream as AsyncIterable<T>;
  } catch (error) {
    if (!signal.aborted) throw toAskError(error, peer, lacks);
  } finally {
    clearTimeout(limit);
    signal.removeEventListener('abort', abort);
    stream.on('error', () => undefined).cancel();
    client.close();
  }
}

function toAskError(thrown: unknown, peer: Peer, lacks: string): OverlaydError {
  const error = thrown as ServiceError;
  if (error.metadata === undefined) return asOverlaydError(thrown);
  const coded = decodeError(error);
  if (coded) return coded;
  switch (error.code) {
    case status.UNIMPLEMENTED:
      return new OverlaydError(
        'version-mismatch',
        `${placeOf(peer)} runs an older overlayd, which ${lacks}: upgrade it there`,
        { cause: error },
      );
    case status.UNAVAILABLE:
    case status.CANCELLED:
      return unreachable(`${placeOf(peer)} cannot be reached: ${error.details}`, error);
    default:
      return new OverlaydError('internal', `${placeOf(peer)}: ${error.details}`, { cause: error });
  }
}
