/**
 * `overlayd leave`: the node stays listed, as down, until `node rm` (or until its name is taken over). Whatever is
 * refused is refused before anything happens; after that every step can be repeated, the identity goes last. The host of
 * the cluster's etcd takes the cluster with it: as soon as anything would be lost by that, it has to be said in so many
 * words (`deleteCluster`), `force` is not enough.
 */
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { decodeNetwork, decodeNode } from '../../core/record-codec.ts';
import { keys, PREFIX } from '../../core/records.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, EtcdServer } from '../../ports/store.ts';
import { committingAlone } from '../view/commit.ts';
import { evictEndpoints, markLeft } from './eviction.ts';
import type { Identity, IdentityState } from './identity.ts';

export interface LeaveDeps {
  readonly identity: Identity;
  readonly store: ClusterStore;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  readonly file: JsonFile<IdentityState>;
  readonly etcd: Pick<EtcdServer, 'remove'>;
  /** Removes everything of ours from this host: its kernel, and what was kept about its endpoints. */
  readonly clearHost: () => Promise<void>;
  /** Names of the endpoints on this host. */
  readonly localEndpoints: () => readonly string[];
  /**
   * Ends the node's part in the cluster (keep-alive, gossip, admission), so that nothing is written after it left.
   * When leaving fails after that, the node is a member still and has to be started again.
   */
  readonly quiesce: () => Promise<void>;
}

export interface LeaveOptions {
  /** Also with containers connected, and with etcd out of reach. */
  readonly force: boolean;
  /** Also when the cluster ends by it. */
  readonly deleteCluster: boolean;
}

/**
 * Returns warnings. Throws `store-holder` without `deleteCluster`; `network-in-use`, `store-unavailable` without `force`.
 */
export async function leaveCluster(
  deps: LeaveDeps,
  request: LeaveOptions,
  options: { readonly quarantineSeconds: number },
  progress: (text: string) => void,
): Promise<string[]> {
  const { identity, store } = deps;
  if (identity.store.bundled && !request.deleteCluster) await checkNothingLost(store, identity.nodeId);
  if (!request.force) checkEndpoints(deps.localEndpoints());
  progress('leaving the cluster');
  const warnings: string[] = [];
  try {
    // Asked once before the node stops its part: without etcd it has to stay a member.
    if (!request.force) await store.get(keys.cluster);
    await deps.quiesce();
    const eviction = { ...deps, commit: committingAlone(store) };
    await markLeft(eviction, identity.nodeId);
    await evictEndpoints(eviction, identity.nodeId, { by: identity.nodeId, ...options });
  } catch (error) {
    if (!request.force || !isOverlaydError(error)) throw error;
    const { message } = error;
    if (!identity.store.bundled)
      warnings.push(
        `the cluster was not told (${message}); run \`overlayd node rm --force ${identity.name}\` on a member`,
      );
  }
  progress('removing the networks of this host');
  await deps.clearHost();
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
  const shown = namesOf(names.map((name) => ({ name })));
  throw new OverlaydError(
    'network-in-use',
    `this host has endpoints (${shown}); disconnect them first, or use --force, which cuts them off`,
  );
}

async function checkNothingLost(store: ClusterStore, selfId: string): Promise<void> {
  const [nodes, networks] = await Promise.all([store.list(`${PREFIX}nodes/`), store.list(`${PREFIX}networks/`)]).catch(
    (error: unknown) => {
      if (!isOverlaydError(error)) throw error;
      throw storeHolder(
        `it does not answer (${error.message}), so nobody can say what would be lost`,
        'mend it first',
        {
          cause: error,
        },
      );
    },
  );
  const others = nodes.entries
    .filter(({ key }) => key !== keys.node(selfId))
    // What cannot be read is there.
    .map(({ key, value }) => decodeNode(value) ?? { name: key, left: false })
    .filter(({ left }) => !left);
  if (others.length > 0) {
    throw storeHolder(`${namesOf(others)} would be left without`, 'let them leave first (`overlayd leave` there)');
  }
  const left = networks.entries.map(({ key, value }) => decodeNetwork(value) ?? { name: key });
  if (left.length > 0) {
    throw storeHolder(`${namesOf(left)} would be gone`, 'remove the networks first (`overlayd network rm`)');
  }
}

function storeHolder(loss: string, instead: string, options?: { cause: unknown }): OverlaydError {
  return new OverlaydError(
    'store-holder',
    `this node runs the cluster's only etcd, which is deleted when it leaves: ${loss}; ${instead}. Only to delete the cluster for all its hosts: --yes-delete-cluster`,
    options,
  );
}

function namesOf(things: readonly { readonly name: string }[]): string {
  const names = things.map(({ name }) => name);
  return names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
}
