/**
 * `overlayd store backup` and `restore` (docs/adr/0023-a-store-that-went-back-says-so.md). A store that runs is put back under
 * its gate. One that is lost is begun anew on this host; members hear of it by gossip and follow (`follow.ts`).
 */
import { drawEpoch } from '../../core/epoch.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { type AgentVersion, levelOf, requireLevel, STORE_LEVEL } from '../../core/levels.ts';
import { decodeCluster, decodeNode } from '../../core/record-codec.ts';
import { keys, type NodeRecord, PREFIX, type StoreGate } from '../../core/records.ts';
import { formatBackup, isBackedUp, parseBackup } from '../../core/store-backup.ts';
import { lostNetworks, type Records, rolledBack, type Successor, succeeding } from '../../core/store-restore.ts';
import type { Pki } from '../../ports/identity.ts';
import type { Clock, Random } from '../../ports/runtime.ts';
import type { ClusterStore, EtcdServer } from '../../ports/store.ts';
import { type Adopt, type AnotherCaDeps, adoptForStore } from '../cluster/another-ca.ts';
import { etcdSettingsOf, type Identity, tlsMaterialOf } from '../cluster/identity.ts';
import type { OpenStore } from '../cluster/store-access.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { closeGate, fill, openGate, readAll } from './copy.ts';

export interface StoreChangeDeps {
  readonly store: Pick<ClusterStore, 'get' | 'list' | 'txn'>;
  /** Of this run: what this node knows. */
  readonly table: Pick<ClusterState, 'records' | 'epoch' | 'height'>;
  readonly etcd: Pick<EtcdServer, 'ensure' | 'setAside' | 'version'>;
  readonly openStore: OpenStore;
  readonly identity: Identity;
  readonly self: NodeRecord;
  readonly agent: AgentVersion;
  /** Who may write all of the store. */
  readonly keepers: readonly Pick<NodeRecord, 'id' | 'name'>[];
  /** Whether a node's agent is not heard. */
  readonly isAway: (nodeId: string) => boolean;
  readonly pki: Pick<Pki, 'sha256'> & AnotherCaDeps['pki'];
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Pick<Random, 'hex'>;
}

export interface StoreChanged {
  /** The way to the store that this member has from now on; undefined: as before. */
  readonly store: Identity['store'] | undefined;
  /** What else becomes of its identity. Absent: nothing. */
  readonly adopt?: Adopt | undefined;
  readonly warnings: readonly string[];
}

export interface BackupMade {
  readonly text: string;
  readonly records: number;
}

/** `fromHere`: of what this host knows, whether the store answers or not. */
export async function backUpStore(deps: StoreChangeDeps, fromHere: boolean): Promise<BackupMade> {
  const { agent, clock, identity, pki, store, table } = deps;
  const { revision, entries } = fromHere
    ? { revision: table.height, entries: [...table.records()] }
    : await store.list(PREFIX);
  const cluster = decodeCluster(entries.find(({ key }) => key === keys.cluster)?.value ?? '');
  if (!cluster) {
    throw new OverlaydError(
      'store-failed',
      fromHere
        ? 'this host has not heard from the store since its agent started, and knows no records to back up; try again when `overlayd status` is quiet'
        : `the store holds no cluster: there is nothing to back up; \`overlayd store backup --from-here\` writes what this host knows`,
    );
  }
  const header = {
    ...{ clusterId: cluster.id, level: levelOf(cluster), ...(cluster.epoch !== undefined && { epoch: cluster.epoch }) },
    ...{ revision, takenAt: clock.now(), takenBy: identity.name, version: agent.version },
  };
  return { text: formatBackup(header, entries, pki.sha256), records: entries.filter(isBackedUp).length };
}

export interface RestoreOptions {
  /** Text of a backup; undefined: what this host knows. */
  readonly backup?: string | undefined;
  /** The store is lost: another one is begun on this host. */
  readonly newStore: boolean;
}

export async function restoreStore(
  deps: StoreChangeDeps,
  { backup, newStore }: RestoreOptions,
  progress: (text: string) => void,
): Promise<StoreChanged> {
  const here = knownHere(deps);
  const records = backup === undefined ? required(here) : fromBackup(deps, backup);
  const nodes = [...records].flatMap(([key, value]) =>
    key.startsWith(keys.node('')) ? (decodeNode(value) ?? []) : [],
  );
  progress('asking the store what it holds');
  const current = await readAll(deps.store).catch((error: unknown) => {
    if (!isOverlaydError(error, 'store-unavailable') && !isOverlaydError(error, 'clock-skew')) throw error;
    if (newStore) return undefined;
    throw new OverlaydError(
      'store-unavailable',
      `${error.message}. If it comes back, wait for it: nothing is lost. If its hosts are lost for good, \`overlayd store restore --new-store\` with the same arguments begins another one on this host, and the members follow it`,
      { cause: error, retryable: true },
    );
  });
  const held = current && decodeCluster(current.get(keys.cluster) ?? '');
  const known = held ?? decodeCluster(records.get(keys.cluster)!)!;
  requireLevel(STORE_LEVEL, levelOf(known), nodes, 'restoring the store, and moving it,');
  const epoch = drawEpoch(deps.random, deps.table.epoch, known.epoch, epochOf(records));
  // Hosts are as this one knows them, and not as the backup says.
  const whole = here && records !== here ? rolledBack(records, here, epoch, deps.isAway) : records;
  if (!current) return await beginAnew(deps, whole, epoch, levelOf(known), progress);
  if (newStore) {
    throw new OverlaydError(
      'conflict',
      'the store answers: without --new-store it is put back as it is; `overlayd store move --bundled` moves it to this host',
    );
  }
  if (held) requireKeeper(deps);
  if (held && held.id !== deps.identity.clusterId) throw foreign(held.id, deps.identity.clusterId);
  return await putBack(deps, held ? records : whole, epoch, held !== undefined, progress);
}

/** Undefined: this host has not heard of the cluster since its agent started. */
function knownHere({ table }: StoreChangeDeps): Records | undefined {
  const records = new Map([...table.records()].filter(isBackedUp).map(({ key, value }) => [key, value]));
  return decodeCluster(records.get(keys.cluster) ?? '') && records;
}

function required(here: Records | undefined): Records {
  if (here) return here;
  throw new OverlaydError(
    'store-failed',
    'this host has heard nothing of the cluster since its agent started: restore on a host that has, or from a backup',
  );
}

function fromBackup({ identity, pki }: StoreChangeDeps, text: string): Records {
  const { header, records } = parseBackup(text, pki.sha256);
  if (header.clusterId !== identity.clusterId) throw foreign(header.clusterId, identity.clusterId);
  if (decodeCluster(records.get(keys.cluster) ?? '')) return records;
  throw new OverlaydError(
    'backup-unusable',
    "the backup lacks the cluster's record, or one that this version can read",
  );
}

function foreign(theirs: string, ours: string): OverlaydError {
  return new OverlaydError(
    'backup-unusable',
    `this is of cluster ${theirs}, and this host is a member of ${ours}; \`overlayd init --from-backup FILE\` makes another cluster of it, on a host that is no member`,
  );
}

function epochOf(records: Records): string | undefined {
  return decodeCluster(records.get(keys.cluster) ?? '')?.epoch;
}

/** Throws `permission-denied`: etcd would refuse it, and nobody would know why. */
export function requireKeeper({ identity: { nodeId }, keepers }: StoreChangeDeps): void {
  if (keepers.some(({ id }) => id === nodeId)) return;
  const names = keepers.map(({ name }) => name).join(', ');
  throw new OverlaydError(
    'permission-denied',
    `only keepers may write all of the store, and this host is none: run it on ${names || 'one that does'}`,
  );
}

/** Into the store that answers: one that has its cluster keeps its hosts, one that is empty gets everything. */
async function putBack(
  deps: StoreChangeDeps,
  records: Records,
  epoch: string,
  hasCluster: boolean,
  progress: (text: string) => void,
): Promise<StoreChanged> {
  const { clock, identity, isAway, store } = deps;
  const gate: StoreGate = { kind: 'restore', by: identity.nodeId, startedAt: clock.now(), epoch };
  const closed = await closeGate(store, gate, isAway);
  const current = await readAll(store);
  const next = hasCluster
    ? rolledBack(records, current, epoch, isAway)
    : succeeding(records, successor(deps, records, epoch, identity.store.bundled));
  const gone = hasCluster ? lostNetworks(next, current) : [];
  await fill(closed, next, progress);
  await openGate(closed, [{ kind: 'put', key: keys.cluster, value: next.get(keys.cluster)! }]);
  const lost = `what is put back has no ${gone.length === 1 ? 'network' : 'networks'} ${gone.join(', ')}: what is connected there stays up, and is named by \`overlayd status\` on its host until it is disconnected`;
  return { store: undefined, warnings: gone.length > 0 ? [lost] : [] };
}

/** Into an etcd of this host that begins empty. */
async function beginAnew(
  deps: StoreChangeDeps,
  records: Records,
  epoch: string,
  level: number,
  progress: (text: string) => void,
): Promise<StoreChanged> {
  const { clock, isAway, keepers } = deps;
  const living = keepers.filter(({ id }) => id !== deps.identity.nodeId && !isAway(id)).map(({ name }) => name);
  const adopt = await adoptForStore(deps, deps.identity, level, living);
  const identity = adopt ? adopt(deps.identity) : deps.identity;
  const isOtherCa = identity.caCertificate !== deps.identity.caCertificate;
  const { access, link } = await beginHere({ ...deps, identity }, progress);
  try {
    const gate: StoreGate = { kind: 'restore', by: identity.nodeId, startedAt: clock.now(), epoch };
    const closed = await closeGate(link.store, gate, isAway);
    const of = successor(deps, records, epoch, true);
    const cluster = isOtherCa ? { level, caCertificate: identity.caCertificate } : of.cluster;
    const next = succeeding(records, { ...of, cluster });
    await fill(closed, next, progress);
    await openGate(closed, [{ kind: 'put', key: keys.cluster, value: next.get(keys.cluster)! }]);
  } finally {
    link.close();
  }
  const keyless =
    identity.caKey === undefined
      ? [
          "this host has no key of the cluster's CA: until `overlayd ca rotate`, no host can join and no certificate is renewed, unless a host that has it is still there",
        ]
      : [];
  const told = isOtherCa
    ? [
        "this host was no keeper, and had no key of the cluster's CA: the cluster has another one from now on. The other hosts go on with what they have, and follow when each is told: `overlayd token create` here prints the line to run there (overlayd join --token …)",
      ]
    : [];
  return { store: { ...access, bundled: true }, adopt, warnings: [...keyless, ...told] };
}

/** An empty etcd on this host. What there was of another one is set aside. Throws `tool-missing`, `store-failed`. */
export async function beginHere({ etcd, identity, openStore }: StoreChangeDeps, progress: (text: string) => void) {
  if ((await etcd.version()) === undefined) {
    throw new OverlaydError('tool-missing', 'this host has no `etcd`: install it (Debian: `apt install etcd-server`)');
  }
  progress('starting an empty etcd on this host');
  await etcd.setAside();
  const { endpoints } = await etcd.ensure({ ...etcdSettingsOf(identity), begin: 'alone' });
  const access = { endpoints, caCertificate: '', certificate: '', key: '' };
  return { access, link: openStore(access, tlsMaterialOf(identity)) };
}

/** What the backup says of level and CA may be older than what this host knows. */
export function successor(
  { identity, self, table }: StoreChangeDeps,
  records: Records,
  epoch: string,
  isKeeper: boolean,
): Successor {
  const known = [...table.records()].find(({ key }) => key === keys.cluster)?.value ?? records.get(keys.cluster) ?? '';
  const cluster = decodeCluster(known) ?? { caCertificate: identity.caCertificate };
  return { epoch, self, cluster, keeperId: isKeeper ? identity.nodeId : undefined };
}
