/** The control service's methods as types, taken from its definition. */
import type { ClusterEvent, ControlService } from '../../gen/overlayd/v1/control.ts';

type Definition = typeof ControlService;

export type Method = keyof Definition;
export type StreamMethod = { [M in Method]: Definition[M]['responseStream'] extends true ? M : never }[Method];
/** Those whose stream ends in a result; the others tell as long as there is something to tell. */
export type ProgressMethod = { [M in StreamMethod]: ClusterEvent extends ResponseOf<M> ? M : never }[StreamMethod];
export type TellingMethod = Exclude<StreamMethod, ProgressMethod>;
export type UnaryMethod = Exclude<Method, StreamMethod>;
export type RequestOf<M extends Method> = Parameters<Definition[M]['requestSerialize']>[0];
export type ResponseOf<M extends Method> = Parameters<Definition[M]['responseSerialize']>[0];

/** Room for a backup of the largest cluster, and for its endpoints in one list: who may speak here may do everything. */
export const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
