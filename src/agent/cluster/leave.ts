/**
 * `overlayd leave`: the node stays listed, as down, until `node rm` (or until its name is taken over). Whatever is
 * refused is refused before anything happens; after that every step can be repeated, the identity goes last. From the mark in
 * etcd on the node is a member no more: whatever fails then is a warning. The host of the cluster's etcd takes the cluster with it:
 * as soon as anything would be lost by that, it has to be said in so many words (`deleteCluster`), `force` is not enough.
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
  readonly clock: Pick<Clock, 'now' | 'elapsed' | 'sleep'>;
  readonly logger: Logger;
  readonly file: JsonFile<IdentityState>;
  readonly etcd: Pick<EtcdServer, 'remove'>;
  /** Lets the other hosts keep the store; false: none of them could. Absent: the member does not run. */
  readonly handOverStore?: (progress: (text: string) => void) => Promise<boolean>;
  /** Names of the other hosts that keep the store: with them the cluster does not end. */
  readonly otherKeepers?: () => readonly string[];
  /** Resolves when another host has the CA's key as well, if this one has it. Absent: the member does not run. */
  readonly keyElsewhere?: () => Promise<void>;
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

/** So long is tried to tell the cluster. */
const TOLD_MS = 10_000;
const AGAIN_MS = 500;
/** Who has just become a keeper fetches the CA's key. */
const KEY_MS = 15_000;

/**
 * Returns warnings. Throws `store-holder` without `deleteCluster`; `network-in-use`, `store-unavailable`, `conflict` (no other
 * host has the CA's key) without `force`.
 */
export async function leaveCluster(
  deps: LeaveDeps,
  request: LeaveOptions,
  options: { readonly quarantineSeconds: number },
  progress: (text: string) => void,
): Promise<string[]> {
  const { identity, store } = deps;
  if (!request.force) checkEndpoints(deps.localEndpoints());
  const others = request.deleteCluster ? (deps.otherKeepers?.() ?? []) : [];
  // By force: without them there is no majority that could let this host go.
  if (others.length > 0 && !request.force) {
    throw new OverlaydError(
      'invalid-argument',
      `${others.join(' and ')} keep the store as well: the cluster ends with the last host that does. Let the others leave first (\`overlayd leave\` there), or, if their hosts are gone for good, add --force`,
    );
  }
  let isLast = identity.store.bundled;
  if (isLast && !request.deleteCluster) {
    isLast = (await deps.handOverStore?.(progress)) !== true;
    if (isLast) await checkNothingLost(store, identity.nodeId);
  }
  progress('leaving the cluster');
  const warnings: string[] = isLast || request.deleteCluster ? [] : await leaveKey(deps, request.force);
  let isMarked = false;
  try {
    // Asked once before the node stops its part: without etcd it has to stay a member.
    if (!request.force) await store.get(keys.cluster);
    await deps.quiesce();
    const eviction = { ...deps, commit: committingAlone(store) };
    // By force it leaves with or without etcd; where others hear of it, one that does not answer for a moment is asked again.
    const toldMs = identity.store.bundled ? 0 : TOLD_MS;
    await insistFor(request.force ? toldMs : 0, deps.clock, () => markLeft(eviction, identity.nodeId));
    isMarked = true;
    const by = identity.nodeId;
    await insistFor(toldMs, deps.clock, () => evictEndpoints(eviction, identity.nodeId, { by, ...options }));
  } catch (error) {
    if (!isOverlaydError(error) || !(request.force || isMarked)) throw error;
    const { message } = error;
    const { name } = identity;
    // It is a member no more, and may be refused by now, as one that others have removed.
    if (isMarked)
      warnings.push(
        `etcd did not take back all that this host may have held (${message}); unless it has been removed, run \`overlayd node rm ${name}\` on a member`,
      );
    else if (!isLast || others.length > 0)
      warnings.push(`the cluster was not told (${message}); run \`overlayd node rm --force ${name}\` on a member`);
  }
  progress('removing the networks of this host');
  await deps.clearHost();
  if (isLast) progress('removing the etcd of this host');
  // What was set aside as well.
  await deps.etcd.remove();
  await deps.file.remove();
  deps.logger.info(
    { nodeId: identity.nodeId, clusterId: identity.clusterId, force: request.force },
    'left the cluster',
  );
  return warnings;
}

/** Without the key no host joins any more, and no certificate is renewed. */
async function leaveKey({ clock, keyElsewhere }: LeaveDeps, force: boolean): Promise<string[]> {
  try {
    await insistFor(force ? 0 : KEY_MS, clock, async () => keyElsewhere?.());
    return [];
  } catch (error) {
    if (!isOverlaydError(error)) throw error;
    const problem = `this host has the key of the cluster's CA, and no other one has shown that it has it too (${error.message})`;
    if (force) return [`${problem}: if none has, no host can join and no certificate is renewed any more`];
    throw new OverlaydError('conflict', `${problem}; leave when another keeper is back, or with --force`, {
      cause: error,
      retryable: true,
    });
  }
}

/** Each step can be repeated. Throws what the last try threw. */
async function insistFor(ms: number, clock: LeaveDeps['clock'], task: () => Promise<unknown>): Promise<void> {
  const end = clock.elapsed() + ms;
  for (;;) {
    try {
      await task();
      return;
    } catch (error) {
      if (!isOverlaydError(error) || !error.retryable || clock.elapsed() >= end) throw error;
      await clock.sleep(AGAIN_MS);
    }
  }
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
