/** Who uses a network: nobody takes it away from them. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { keys, type NetworkRecord } from '../../core/records.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';

const MOST_SHOWN = 5;

/** Throws `network-in-use`: also for a claim of whose endpoint nothing is known. */
export function refuseIfUsed(view: ClusterView, network: NetworkRecord): void {
  const users = new Map([...view.endpointsOn(network.id)].map(({ id, name, nodeId }) => [id, { name, nodeId }]));
  for (const { endpointId: id, nodeId } of view.claims(network.id).values()) {
    // A service uses nothing.
    if (nodeId !== '' && !users.has(id)) users.set(id, { name: id.slice(0, 12), nodeId });
  }
  if (users.size === 0) return;
  const shown = [...users.values()]
    .slice(0, MOST_SHOWN)
    .map(({ name, nodeId }) => `${name} on ${view.node(nodeId)?.name ?? nodeId.slice(0, 12)}`);
  const more = users.size > MOST_SHOWN ? ` and ${users.size - MOST_SHOWN} more` : '';
  throw new OverlaydError(
    'network-in-use',
    `network ${network.name} has active endpoints: ${shown.join(', ')}${more}; disconnect them first (overlayd network disconnect)`,
  );
}

/** Services that are not there have these addresses. */
export function servicesLeft(network: string, addresses: readonly string[]): OverlaydError {
  const shown = addresses.slice(0, MOST_SHOWN).join(', ');
  return new OverlaydError(
    'network-in-use',
    `network ${network} has addresses of services: ${shown}; one is just being made, or was not wholly removed: try again after \`overlayd ipam repair --network ${network}\``,
  );
}

/** Who has addresses of it, as etcd says now; of so many as are going to be named, their records. */
export async function learnUsers(
  state: ClusterState,
  store: Pick<ClusterStore, 'get' | 'list'>,
  { id }: NetworkRecord,
): Promise<void> {
  state.learn((await store.list(keys.addressesOn(id))).entries);
  const claims = [...state.view.claims(id).values()].filter(({ nodeId }) => nodeId !== '').slice(0, MOST_SHOWN);
  const records = claims.map((claim) => store.get(keys.endpoint({ nodeId: claim.nodeId, id: claim.endpointId })));
  state.learn((await Promise.all(records)).filter((entry) => entry !== undefined));
}
