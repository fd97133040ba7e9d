/**
 * `overlayd leave`: the node stays listed, as down, until `node rm` (or until its name is taken over). Whatever is
 * refused is refused before anything happens; after that every step can be repeated, the identity goes last.
 */
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { decodeNetwork, decodeNode } from '../../core/record-codec.ts';
import { keys, PREFIX } from '../../core/records.ts';
import type { Clock, ClusterStore, EtcdServer, JsonFile, Logger } from '../../ports.ts';
import { evictEndpoints, markLeft } from './eviction.ts';
import type { Identity, IdentityState } from './identity.ts';

export interface LeaveDeps {
  readonly identity: Identity;
  readonly store: ClusterStore;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  readonly file: JsonFile<IdentityState>;
  readonly etcd: Pick<EtcdServer, 'remove'>;
  /** Names of the endpoints on this host. */
  readonly localEndpoints: () => readonly string[];
  /**
   * Ends the node's part in the cluster (keep-alive, gossip, admission), so that nothing is written after it left.
   * When leaving fails after that, the node is a member still and has to be started again.
   */
  readonly quiesce: () => Promise<void>;
}

/** Returns warnings. Throws `network-in-use`, `conflict`, `store-unavailable`; with `force` none of them. */
export async function leaveCluster(
  deps: LeaveDeps,
  request: { readonly force: boolean },
  options: { readonly quarantineSeconds: number },
  progress: (text: string) => void,
): Promise<string[]> {
  const { identity, store } = deps;
  if (!request.force) {
    checkEndpoints(deps.localEndpoints());
    if (identity.store.bundled) await checkAlone(store, identity.nodeId);
  }
  progress('leaving the cluster');
  const warnings: string[] = [];
  try {
    // Asked once before the node stops its part: without etcd it has to stay a member.
    if (!request.force) await store.get(keys.cluster);
    await deps.quiesce();
    await markLeft(store, identity.nodeId);
    await evictEndpoints(deps, identity.nodeId, { by: identity.nodeId, ...options });
  } catch (error) {
    if (!request.force || !isOverlaydError(error)) throw error;
    warnings.push(
      `the cluster was not told (${error.message}); run \`overlayd node rm --force ${identity.name}\` on a member`,
    );
  }
  if (identity.store.bundled) {
    progress('removing the etcd of this host');
    await deps.etcd.remove();
  }
  await deps.file.remove();
  deps.logger.info(
    { nodeId: identity.nodeId, clusterId: identity.clusterId, force: request.force },
    'left the cluster',
  );
  return warnings;
}

function checkEndpoints(names: readonly string[]): void {
  if (names.length === 0) return;
  const shown = names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
  throw new OverlaydError(
    'network-in-use',
    `this host has endpoints (${shown}); disconnect them first, or use --force, which cuts them off`,
  );
}

async function checkAlone(store: ClusterStore, selfId: string): Promise<void> {
  const { entries } = await store.list(`${PREFIX}nodes/`);
  const others = entries
    .flatMap(({ value }) => decodeNode(value) ?? [])
    .filter(({ id, left }) => id !== selfId && !left);
  if (others.length === 0) {
    const networks = (await store.list(`${PREFIX}networks/`)).entries.flatMap(
      ({ value }) => decodeNetwork(value) ?? [],
    );
    if (networks.length === 0) return;
    throw new OverlaydError(
      'network-in-use',
      `this is the last node, and the cluster ends with it: ${networks.map(({ name }) => name).join(', ')} would be gone; remove the networks first, or use --force`,
    );
  }
  throw new OverlaydError(
    'conflict',
    `this node runs the cluster's etcd, and ${others.map(({ name }) => name).join(', ')} still need it; let them leave first, or use --force, which ends the cluster for all`,
  );
}
