/**
 * What a host has itself, whatever etcd and members say: its own record, its endpoints, the networks that they are on.
 * Hearsay does not touch it; etcd's word does, unless etcd has fallen back behind what it was.
 */
import { HOST_AS_OWNER } from '../../core/expose.ts';
import { SEED_REVISION } from '../../core/gossip/replica.ts';
import { encodeRecord } from '../../core/record-codec.ts';
import { addressList, type EndpointRecord, keys, type NodeRecord } from '../../core/records.ts';
import { endpointEntries, heldEndpoint } from '../claims/endpoint-claims.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import type { StoreWatch } from '../view/store-watch.ts';
import type { LocalEndpoints } from './local-endpoints.ts';

/** What a restart without etcd goes by. `self`, `others`: the node and its peers as its own files have them. */
export function ownRecords(
  self: NodeRecord,
  others: readonly NodeRecord[],
  local: Pick<LocalEndpoints, 'savedNetworks' | 'all'>,
): { readonly key: string; readonly value: string }[] {
  return [
    ...[...others.filter(({ id }) => id !== self.id), self].map((node) => ({
      key: keys.node(node.id),
      value: encodeRecord(node),
    })),
    ...local.savedNetworks().map((network) => ({ key: keys.network(network.id), value: encodeRecord(network) })),
    ...local.all().flatMap(({ record }) => encodedEntries(record)),
  ];
}

/** What of this host's a key is, in words; undefined when it is nothing of its own. */
export function describeOwn(
  key: string,
  selfId: string,
  local: Pick<LocalEndpoints, 'all' | 'savedNetworks'>,
): string | undefined {
  if (key === keys.node(selfId)) return "this node's own record";
  const network = local.savedNetworks().find(({ id }) => key === keys.network(id));
  if (network) return `network ${network.name}`;
  const endpoint = local.all().find(({ record }) => endpointEntries(record).some((entry) => entry.key === key));
  return endpoint && `endpoint ${endpoint.record.name} (${addressList(endpoint.record)})`;
}

/** What is written of an endpoint, as text. */
export function encodedEntries(record: EndpointRecord): { readonly key: string; readonly value: string }[] {
  return endpointEntries(record).map((entry) => ({ key: entry.key, value: encodeRecord(entry.record) }));
}

/** Whether etcd itself holds this very endpoint with all its addresses: what the node merely keeps is none of etcd's. */
function isClaimed(state: Pick<ClusterState, 'confirmedEntryOf'>, record: EndpointRecord): boolean {
  const held = heldEndpoint(record, (key) => state.confirmedEntryOf(key));
  return held.revision !== undefined && held.addresses.every(({ holder }) => holder === 'self');
}

/** Endpoints of this host that etcd does not hold. */
export function unclaimed(
  state: Pick<ClusterState, 'confirmedEntryOf'>,
  local: Pick<LocalEndpoints, 'all'>,
): EndpointRecord[] {
  return local.all().flatMap(({ record }) => (isClaimed(state, record) ? [] : [record]));
}

/** What is wrong with what etcd holds, in words with what to do. */
export function storeProblems(
  watch: Pick<StoreWatch, 'formerRecords' | 'problems'>,
  state: Parameters<typeof storeProblem>[0],
  local: Pick<LocalEndpoints, 'all'>,
  selfId: string,
): readonly string[] {
  const behind = state.view.behind ? [watch.formerRecords ?? storeProblem(state, local, selfId)] : [];
  return [...watch.problems(), ...behind];
}

/** Why nothing is taken down while etcd is behind what it was, or another one. */
function storeProblem(
  state: Pick<ClusterState, 'view' | 'revisionOf' | 'confirmedEntryOf' | 'height' | 'wentBackUnmarked'>,
  local: Pick<LocalEndpoints, 'all'>,
  selfId: string,
): string {
  const { view, height, wentBackUnmarked } = state;
  const epoch = view.cluster()?.epoch;
  const seen =
    view.revision < height ? `is at revision ${view.revision} and was at ${height}` : 'had its revision raised';
  const what =
    epoch === undefined || wentBackUnmarked
      ? `etcd ${seen}, or lost the cluster's records: it was restored from a backup, or lost data`
      : `etcd is another one than before (its epoch is ${epoch}): it was restored from a backup, or moved`;
  const missing = unclaimed(state, local).map(
    ({ name, networkId }) => `${name} (network ${view.network(networkId)?.name ?? networkId.slice(0, 12)})`,
  );
  const shown = missing.slice(0, 5).join(', ') + (missing.length > 5 ? ` and ${missing.length - 5} more` : '');
  // Its own address is no container's.
  const isOwn = unclaimed(state, local).some(({ tool }) => tool === HOST_AS_OWNER.tool);
  const ofHost = isOwn ? ' (of this host itself: `overlayd network unexpose NETWORK`)' : '';
  const isMissing =
    view.cluster() !== undefined && (state.revisionOf(keys.node(selfId)) ?? SEED_REVISION) <= SEED_REVISION;
  const todo = isMissing
    ? 'It does not hold this node, which enters itself again unless another one has its name: see `overlayd node ls`, and `overlayd node rm` the other one if it is gone'
    : missing.length > 0
      ? `It does not hold these endpoints of this host: ${shown}; restore a newer backup, or disconnect them and connect them anew${ofHost}`
      : 'It holds all endpoints of this host, and is taken as it is once the other hosts had a minute to claim theirs';
  return `${what}. Nothing is taken down meanwhile. ${todo}; docs/operations.md, "Back up, restore and move the store"`;
}
