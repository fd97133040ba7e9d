/** Names of this host's endpoints on a network, whoever makes them: each is one endpoint's alone, from when it is asked for. */
import { OverlaydError } from '../../core/errors.ts';
import { addressList, type NetworkRecord } from '../../core/records.ts';
import type { LocalEndpoints } from './local-endpoints.ts';

/**
 * Nobody else gets the name until what it returns is called, when the endpoint is there or will not be. Throws
 * `endpoint-exists`.
 */
export function takeName(
  local: Pick<LocalEndpoints, 'onNetwork' | 'namesAsked'>,
  network: NetworkRecord,
  name: string,
): () => void {
  const key = `${network.id} ${name.toLowerCase()}`;
  const named = local.onNetwork(network.id).find(({ record }) => record.name.toLowerCase() === name.toLowerCase());
  if (named || local.namesAsked.has(key)) {
    throw new OverlaydError(
      'endpoint-exists',
      `endpoint with name ${name} already exists in network ${network.name} on this host` +
        `${named ? ` (${named.container.text}, ${addressList(named.record)})` : ''}; give another --name, or an --alias for a shared name`,
    );
  }
  local.namesAsked.add(key);
  return () => local.namesAsked.delete(key);
}
