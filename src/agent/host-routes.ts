import type { HostFacts } from '../ports.ts';

/** A host with a routing table of its own (BGP) would not fit into a record; automatic subnets see this many. */
const MAX_ROUTES = 256;

/** Destinations of the host's own routes, as its node record publishes them: each once, sorted. */
export async function hostRoutes(facts: Pick<HostFacts, 'routes'>): Promise<string[]> {
  const destinations = (await facts.routes()).map(({ destination }) => destination);
  return [...new Set(destinations)].sort().slice(0, MAX_ROUTES);
}
