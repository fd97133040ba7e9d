/** Those who wait for a network to become as it should be. */
import type { LocalEndpoint } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { NamespaceState, Obstacle } from '../../core/host-state.ts';

export interface ConvergeOptions {
  /** Failures of other endpoints of the network do not count. */
  readonly endpoint?: LocalEndpoint;
  /** Failures of this host's endpoints do not count: only of the network, and of the ways to those of other hosts. */
  readonly waysAlone?: boolean | undefined;
  /** What the endpoint's container held a moment ago: the pass does not look inside once more. */
  readonly inside?: NamespaceState | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Waiter extends Pick<ConvergeOptions, 'inside' | 'waysAlone'> {
  readonly endpoint: LocalEndpoint | undefined;
  readonly networkId: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  /** The trace that it waits in: the pass is a part of that of the first who waits. */
  readonly traceparent?: string | undefined;
}

/** Calls `join` with the waiter, and settles as that is told, or when the signal aborts. */
export async function waitFor(
  networkId: string,
  { endpoint, inside, waysAlone, signal }: ConvergeOptions,
  join: (waiter: Waiter) => void,
): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  join({ networkId, endpoint, inside, waysAlone, resolve, reject });
  try {
    await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** Insides of containers that need no other look, by the container's identity. */
export function insidesOf(waiters: readonly Waiter[]): ReadonlyMap<string, NamespaceState> {
  return new Map(
    waiters.flatMap(({ endpoint, inside }) => (endpoint && inside ? [[endpoint.container.identity, inside]] : [])),
  );
}

/**
 * What stands in the waiter's way. `namespace`: of its network. What the host's part lacks stands in the way of those
 * networks only that could not be made for it, and is told as theirs.
 */
export function obstacleFor(
  { endpoint, waysAlone }: Waiter,
  namespace: string | undefined,
  obstacles: readonly Obstacle[],
): Error | undefined {
  const inTheWay = ({ network, endpointId }: Obstacle) =>
    network !== undefined &&
    network === namespace &&
    (endpointId === undefined || (endpoint ? endpointId === endpoint.record.id : !waysAlone));
  return obstacles.find(inTheWay)?.error;
}

/** What who waits is told when no pass follows any more. */
export function stopping(): OverlaydError {
  return new OverlaydError('cancelled', 'the agent is stopping; try again', { retryable: true });
}
