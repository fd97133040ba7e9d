/** Which containers get answers of their engine's own name server that we could not give. */
import type { LocalEndpoint } from '../../core/container.ts';
import type { EngineContainer } from '../../core/engine/engine.ts';
import { SERVICE_ADDRESS } from '../../core/host-state.ts';

/** The first counts: it is the one that an engine asks. */
export function areOthers(nameServers: readonly string[]): boolean {
  return nameServers.length > 0 && nameServers[0] !== SERVICE_ADDRESS;
}

/** Of a running container: it is on networks that are none of ours, has links, or name servers of its own. */
export function engineKnowsMore(
  { linked = false, nameServers = [], networks }: EngineContainer,
  byEngine: (endpointId: string) => LocalEndpoint | undefined,
): boolean {
  if (linked || areOthers(nameServers)) return true;
  return networks.some(({ endpointId }) => {
    const ours = byEngine(endpointId);
    return ours === undefined || ours.engine?.otherServers === true;
  });
}
