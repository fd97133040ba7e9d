/**
 * A container's way out of IPv6, where its engine makes none (`plan/container.ts`), leads through one of its networks, and
 * through another when the container leaves that one. Nothing is heard of what an engine does inside, so that is said here.
 */
import { isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import type { EndpointsDeps } from '../endpoints/endpoints.ts';
import { addressOf } from './reservations.ts';

/** `left`: the endpoint that is gone. Does not wait: an engine that takes a container apart goes on to the next one. */
export function passWayOut(
  { dataPath, local }: Pick<EndpointsDeps, 'dataPath' | 'local'>,
  { engine, record }: LocalEndpoint,
): void {
  const sandbox = engine?.sandbox;
  if (sandbox === undefined || addressOf(record, 6) === undefined) return;
  for (const other of local.all()) {
    if (other.engine?.sandbox !== sandbox || isHandedOver(other.container) || !addressOf(other.record, 6)) continue;
    // What stands in the way is told, and tried again, by whoever makes it.
    dataPath.converge(other).catch(() => undefined);
  }
}
