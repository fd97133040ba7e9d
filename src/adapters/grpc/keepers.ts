/**
 * What members ask of keepers, as single calls on the listener of gossip. Each is asked on a connection of its own: they
 * are few, and none of them may wait for another one's trouble.
 */
import {
  type ChannelCredentials,
  type ClientOptions,
  connectivityState,
  Metadata,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { OverlaydError } from '../../core/errors.ts';
import { KeepersClient, KeepersService } from '../../gen/overlayd/v1/keepers.ts';
import type { Answered, Asked, KeeperMethod, KeepersHandler } from '../../ports/keepers.ts';
import type { Peer } from '../../ports/peers.ts';
import { decodeError, encodeError, placeOf, unreachable } from './error.ts';

const CONNECT_MS = 1_500;

type Call = ServerUnaryCall<object, object>;
type Answer = (method: KeeperMethod, asked: object, call: Call) => Promise<object>;

/** For {@link KeepersService}; `answer` throws what the other end is told. */
export function keeperMethods(answer: Answer): UntypedServiceImplementation {
  const method = (name: KeeperMethod) => (call: Call, done: sendUnaryData<object>) => {
    answer(name, call.request, call).then(
      (value) => done(null, value),
      (thrown: unknown) => done(encodeError(thrown)),
    );
  };
  return Object.fromEntries((Object.keys(KeepersService) as KeeperMethod[]).map((name) => [name, method(name)]));
}

/** The handler's method of that name. The codec has seen to the form of what the wire brought, but for what may be absent. */
export async function answerFor(
  handler: KeepersHandler,
  method: KeeperMethod,
  asked: object,
  caller: string,
): Promise<object> {
  if (method === 'admit' && (asked as { request?: object }).request === undefined) {
    throw new OverlaydError('invalid-argument', 'the request of the joiner is missing');
  }
  return handler[method](asked as never, caller);
}

/** As `KeepersTransport.ask`. */
export async function askKeeper<M extends KeeperMethod>(
  peer: Peer,
  method: M,
  asked: Asked<M>,
  { secure, options, timeoutMs }: { secure: ChannelCredentials; options: ClientOptions; timeoutMs: number },
): Promise<Answered<M>> {
  const client = new KeepersClient(peer.address, secure, options);
  const { path, requestSerialize, responseDeserialize } = KeepersService[method] as unknown as MethodDefinition<
    object,
    object
  >;
  const { promise, resolve, reject } = Promise.withResolvers<object>();
  const wasConnected = watchConnection(client.getChannel());
  const deadline = Date.now() + timeoutMs;
  client.makeUnaryRequest(
    ...([path, requestSerialize, responseDeserialize, asked, new Metadata(), { deadline }] as const),
    (error, value) => (error ? reject(toAskError(error, peer, !wasConnected())) : resolve(value!)),
  );
  // gRPC itself waits for a silent host for as long as the call may take.
  const limit = setTimeout(() => {
    if (!wasConnected()) reject(unreachable(`${placeOf(peer)} cannot be reached`, undefined, true));
  }, CONNECT_MS);
  try {
    const answered = await promise;
    if (method === 'admit' && (answered as { store?: object }).store === undefined) {
      throw new OverlaydError('internal', 'the admission lacks the store');
    }
    return answered as Answered<M>;
  } finally {
    clearTimeout(limit);
    client.close();
  }
}

/** Whether there has been a connection since: what is asked leaves this host by one alone. */
function watchConnection(channel: ReturnType<KeepersClient['getChannel']>): () => boolean {
  let wasReady = false;
  const watch = () => {
    const state = channel.getConnectivityState(false);
    if (state === connectivityState.READY) wasReady = true;
    else if (state !== connectivityState.SHUTDOWN)
      channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, watch);
  };
  watch();
  return () => wasReady;
}

function toAskError(error: ServiceError, peer: Peer, nothingDone: boolean): OverlaydError {
  const coded = decodeError(error);
  if (coded) return coded;
  switch (error.code) {
    case status.DEADLINE_EXCEEDED:
      return unreachable(`${placeOf(peer)} did not answer in time`, error, nothingDone);
    case status.UNIMPLEMENTED:
      return unreachable(`${placeOf(peer)} runs an older overlayd, which does not know what is asked`, error, true);
    case status.UNAVAILABLE:
    case status.CANCELLED:
      return unreachable(`${placeOf(peer)} cannot be reached: ${error.details}`, error, nothingDone);
    default:
      return new OverlaydError('internal', `${placeOf(peer)}: ${error.details}`, { cause: error });
  }
}
