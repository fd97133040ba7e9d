/**
 * Containers that an engine failed to start because our drivers could not do their part at that moment. It tries once, at
 * its own start or when the container ended, and leaves it at that, whatever the restart policy says.
 */
import type { ERROR_CODES } from '../errors.ts';
import type { EngineContainer } from './engine.ts';

/** What may be otherwise the next time. An error of our drivers ends with its code. */
const PASSING: readonly (typeof ERROR_CODES)[number][] = [
  'store-unavailable',
  'store-failed',
  'not-joined',
  'agent-not-running',
  'network-not-found',
  'endpoint-not-found',
  'data-path-failed',
  'conflict',
  'cancelled',
  'internal',
];
/**
 * The engine's words when nobody serves the drivers, or the answer did not come: with the plugin's name or its socket, or
 * without, but then not those of volumes and logs.
 */
const UNSERVED = /overlayd\.sock|plugin "?overlayd"?|(?<!looking up (?:volume|logging) plugin .*)plugin not found/;

/** `ours`: the engine's ids of networks of the cluster. One that its user has not seen run yet was reported to them. */
export function isGivenUp(container: EngineContainer, ours: (engineNetworkId: string) => boolean): boolean {
  const { failure, networks, pid, ran, restarts } = container;
  if (pid !== 0 || !ran || !restarts || !networks.some(({ networkId }) => ours(networkId))) return false;
  return UNSERVED.test(failure) || PASSING.some((code) => failure.includes(`(${code})`));
}
