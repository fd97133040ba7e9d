/**
 * Coded errors across gRPC: the code and whether a retry may help travel in the trailers `overlayd-code` and
 * `overlayd-retryable`, the message as the status text. The status itself is for foreign clients only.
 */
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { asOverlaydError, type ErrorCode, OverlaydError } from '../../core/errors.ts';
import type { Peer } from '../../ports/peers.ts';
import { codedError } from './control-failure.ts';

const CODE = 'overlayd-code';
const RETRYABLE = 'overlayd-retryable';

export function encodeError(thrown: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const error = asOverlaydError(thrown);
  const metadata = new Metadata();
  metadata.set(CODE, error.code);
  if (error.retryable) metadata.set(RETRYABLE, 'true');
  return { code: statusOf(error.code), details: error.message, metadata };
}

/** The coded error inside, or undefined when the other end sent none: the call failed on its way. */
export function decodeError(error: ServiceError): OverlaydError | undefined {
  const code = error.metadata?.get(CODE)[0];
  if (code === undefined) return undefined;
  return codedError(`${code}`, error.details, error.metadata.get(RETRYABLE)[0] === 'true');
}

/** What did not get to another host, or back. `nothingDone`: certainly not to it. */
export function unreachable(message: string, cause: unknown, nothingDone = false): OverlaydError {
  return new OverlaydError('peer-unreachable', message, { cause, retryable: true, nothingDone });
}

/** For messages. */
export function placeOf({ nodeId, address }: Peer): string {
  return `node ${nodeId.slice(0, 12)} at ${address}`;
}

/** The same status as the Connect protocol has it: its name, and the one of HTTP. */
export function connectStatus(code: ErrorCode): { readonly name: string; readonly http: number } {
  const of = statusOf(code);
  const name = status[of].toLowerCase().replace('cancelled', 'canceled');
  return { name, http: HTTP_STATUS[of] ?? 500 };
}

const HTTP_STATUS: Readonly<Partial<Record<status, number>>> = {
  [status.CANCELLED]: 499,
  [status.INVALID_ARGUMENT]: 400,
  [status.NOT_FOUND]: 404,
  [status.ALREADY_EXISTS]: 409,
  [status.PERMISSION_DENIED]: 403,
  [status.FAILED_PRECONDITION]: 400,
  [status.UNAVAILABLE]: 503,
};

function statusOf(code: ErrorCode): status {
  if (code.endsWith('-not-found')) return status.NOT_FOUND;
  if (code.endsWith('-exists')) return status.ALREADY_EXISTS;
  if (code.startsWith('invalid-')) return status.INVALID_ARGUMENT;
  switch (code) {
    case 'permission-denied':
    case 'peer-refused':
      return status.PERMISSION_DENIED;
    case 'store-unavailable':
    case 'peer-unreachable':
    case 'keeper-unreachable':
      return status.UNAVAILABLE;
    case 'cancelled':
      return status.CANCELLED;
    case 'internal':
      return status.INTERNAL;
    default:
      return status.FAILED_PRECONDITION;
  }
}
