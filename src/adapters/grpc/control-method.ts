/** The control service's methods as types, taken from its definition. */
import type { ClusterEvent, ControlService } from '../../gen/overlayd/v1/control.ts';

type Definition = typeof ControlService;

export type Method = keyof Definition;
export type StreamMethod = { [M in Method]: Definition[M]['responseStream'] extends true ? M : never }[Method];
/** Those whose stream ends in a result; the others tell as long as there is something to tell. */
export type ProgressMethod = { [M in StreamMethod]: ClusterEvent extends ResponseOf<M> ? M : never }[StreamMethod];
export type TellingMethod = Exclude<StreamMethod, ProgressMethod>;
/** All {@link TellingMethod}s. */
export const TELLING: readonly Method[] = ['followEvents', 'findDrift', 'getRecords'] satisfies TellingMethod[];
export type UnaryMethod = Exclude<Method, StreamMethod>;
export type RequestOf<M extends Method> = Parameters<Definition[M]['requestSerialize']>[0];
export type ResponseOf<M extends Method> = Parameters<Definition[M]['responseSerialize']>[0];

/** Room for a backup of the largest cluster, and for its endpoints in one list: who may speak here may do everything. */
export const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** Where {@link Method}s are called without gRPC, beside the socket of the control service. */
export function callsPath(socketPath: string): string {
  return socketPath.replace(/(\.sock)?$/, '-calls.sock');
}

/** `Content-Type`s of the Connect protocol. */
export const UNARY_TYPE = 'application/proto';
export const STREAM_TYPE = 'application/connect+proto';
/** Headers of an answer that is an error. */
export const CODE_HEADER = 'overlayd-code';
export const RETRYABLE_HEADER = 'overlayd-retryable';
/** Before each message of a stream: flags, and its length in four bytes. */
export const ENVELOPE_BYTES = 5;
/** Flag of the last one, which is JSON: `{}`, or `{"error": …}`. */
export const LAST = 2;

/** What the last message of a stream holds. */
export interface StreamEnd {
  readonly error?: { readonly code: string; readonly message: string; readonly retryable: boolean };
}

export function enveloped(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(ENVELOPE_BYTES);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
