import { OverlaydError } from '../../src/core/errors.ts';

/** What calls of the etcd in memory fail with. */
export function unavailable(reason: string): OverlaydError {
  return new OverlaydError('store-unavailable', `etcd does not answer: ${reason}`, { retryable: true });
}

export function failed(reason: string, retryable = false): OverlaydError {
  return new OverlaydError('store-failed', `etcd refused the request: ${reason}`, { retryable });
}
