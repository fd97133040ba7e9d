/**
 * The first and the last step of replacing the CA, which keepers do (`core/ca-rotation.ts`); what lies between every member does by
 * itself (`certification.ts`). Each is one transaction on the cluster's record, and may be asked for again.
 */
import { type CaProgress, caProgress } from '../../core/ca-rotation.ts';
import { OverlaydError } from '../../core/errors.ts';
import { levelOf, requireLevel, STORE_LEVEL, unreadableRecord } from '../../core/levels.ts';
import { decodeCluster, decodeNode } from '../../core/record-codec.ts';
import { type ClusterRecord, keys, type NodeRecord, SUBNET_GUARD } from '../../core/records.ts';
import type { Pki } from '../../ports/identity.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, StoreEntry } from '../../ports/store.ts';
import { type Commit, unchanged } from '../view/commit.ts';
import type { KeeperCalls } from './keeper-calls.ts';
import type { OwnIdentity } from './own-identity.ts';

export interface CaRotationDeps {
  readonly store: Pick<ClusterStore, 'get' | 'list'>;
  readonly commit: Commit;
  readonly pki: Pki;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  readonly own: OwnIdentity;
  readonly keepers: Pick<KeeperCalls, 'askOthers'>;
}

interface Found {
  readonly entry: StoreEntry;
  readonly cluster: ClusterRecord;
  readonly nodes: readonly NodeRecord[];
  /** Nodes whose records cannot be read. */
  readonly unreadable: number;
}

async function find(store: CaRotationDeps['store']): Promise<Found> {
  const [entry, { entries }] = await Promise.all([store.get(keys.cluster), store.list(keys.nodes)]);
  const cluster = entry && decodeCluster(entry.value);
  if (!entry || !cluster) throw unreadableRecord(keys.cluster, 'the CA cannot be replaced');
  const nodes = entries.flatMap(({ value }) => decodeNode(value) ?? []);
  return { entry, cluster, nodes, unreadable: entries.length - nodes.length };
}

export function progressOf(
  pki: Pick<Pki, 'digest'>,
  { caCertificate, nextCaCertificate }: Pick<ClusterRecord, 'caCertificate' | 'nextCaCertificate'>,
  nodes: Iterable<NodeRecord>,
): CaProgress {
  const next = nextCaCertificate === undefined ? undefined : pki.digest(nextCaCertificate);
  return caProgress({ current: pki.digest(caCertificate), next }, nodes);
}

/**
 * Makes the next CA and tells the members. One that is under way goes on; it begins anew when its key is lost with the keeper
 * that made it, before anybody relied on it. The CA in use is not needed for it. Throws `version-mismatch` below level 4,
 * `conflict`.
 */
export async function beginRotation(deps: CaRotationDeps): Promise<void> {
  const { clock, commit, logger, own, pki, store } = deps;
  const { entry, cluster, nodes } = await find(store);
  requireLevel(STORE_LEVEL, levelOf(cluster), nodes, 'CAs that are replaced');
  if (cluster.nextCaCertificate !== undefined && !(await isLost(deps, cluster, nodes))) return;
  const { certificate, key } = await pki.createCa(cluster.id, clock.now());
  // The key is here before anybody is told.
  await own.change((before) => ({ ...before, next: { caCertificate: certificate, caKey: key } }));
  const next = { ...cluster, nextCaCertificate: certificate };
  const committed = await commit([unchanged(keys.cluster, entry)], [{ kind: 'put', key: keys.cluster, record: next }]);
  if (!committed) {
    throw new OverlaydError('conflict', "the cluster's record changed at the same moment; run it again", {
      retryable: true,
    });
  }
  logger.info({ event: 'ca-rotation', step: 'first', digest: pki.digest(certificate) }, "the cluster's CA is replaced");
}

/** Nobody who answers has the next one's key, and nobody has a certificate of it. */
async function isLost(
  { keepers, own, pki }: CaRotationDeps,
  cluster: ClusterRecord,
  nodes: readonly NodeRecord[],
): Promise<boolean> {
  const { next } = own.current;
  const { nextCaCertificate } = cluster;
  if (next?.caKey !== undefined && next.caCertificate === nextCaCertificate) return false;
  if (progressOf(pki, cluster, nodes).nodes.some(({ certifiedByNext }) => certifiedByNext)) return false;
  const wanted = [nextCaCertificate ?? ''];
  const answered = await keepers.askOthers('caKeys', { wanted }).catch(() => ({ keys: [] }));
  return answered.keys.length === 0;
}

/** All members have a certificate of the next CA: from now on it is the CA. Does nothing when they have not. */
export async function finishRotation({
  commit,
  logger,
  pki,
  store,
}: Pick<CaRotationDeps, 'commit' | 'logger' | 'pki' | 'store'>): Promise<void> {
  // Whoever admits a host writes the guard: it is read before the members are.
  const guard = await store.get(SUBNET_GUARD);
  const { entry, cluster, nodes, unreadable } = await find(store);
  const { nextCaCertificate, ...rest } = cluster;
  if (nextCaCertificate === undefined || unreadable > 0) return;
  if (progressOf(pki, cluster, nodes).phase !== 'retire') return;
  const committed = await commit(
    [unchanged(keys.cluster, entry), unchanged(SUBNET_GUARD, guard)],
    [{ kind: 'put', key: keys.cluster, record: { ...rest, caCertificate: nextCaCertificate } }],
  );
  if (!committed) return;
  const digest = pki.digest(nextCaCertificate);
  logger.info({ event: 'ca-rotation', step: 'done', digest }, 'the next CA is the only one from now on');
}

/** Of the nodes that have not done what is waited for, in words. */
export function waitingWords({ phase, nodes }: CaProgress, stateOf: (nodeId: string) => string): string {
  const awaited = nodes.filter(({ isAwaited }) => isAwaited);
  const done = nodes.length - awaited.length;
  const names = awaited.map(({ node }) => {
    const state = stateOf(node.id);
    return state === 'ready' ? node.name : `${node.name} (${state})`;
  });
  const shown = names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
  const what = phase === 'trust' ? 'trust both CAs' : phase === 'certify' ? 'have a certificate of the next CA' : '';
  if (phase === 'retire') return 'all members have a certificate of the next CA; the former one goes';
  return `${done} of ${nodes.length} members ${what}; waiting for ${shown}`;
}
