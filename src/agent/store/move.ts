/**
 * `overlayd store move`: all records into another store, and the members after them. The old one stays closed, and says where
 * they are. Until it does, it is the right one: whatever breaks off before leaves the cluster as it was.
 */
import { drawEpoch } from '../../core/epoch.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { levelOf, requireLevel, STORE_LEVEL } from '../../core/levels.ts';
import { decodeCluster, decodeNode, decodeStoreGate, encodeRecord } from '../../core/record-codec.ts';
import { keys, type StoreGate, type StoreMoved } from '../../core/records.ts';
import { isBackedUp } from '../../core/store-backup.ts';
import { type Records, succeeding } from '../../core/store-restore.ts';
import type { StoreAccess } from '../../ports/store.ts';
import { tlsMaterialOf } from '../cluster/identity.ts';
import type { StoreLink } from '../cluster/store-access.ts';
import { type ClosedGate, closeGate, fill, openGate, readAll, takeBack, write } from './copy.ts';
import { beginHere, requireKeeper, type StoreChangeDeps, type StoreChanged, successor } from './restore.ts';

/** `to`: an etcd of the user's; undefined: one of this host. */
export async function moveStore(
  deps: StoreChangeDeps,
  to: StoreAccess | undefined,
  progress: (text: string) => void,
): Promise<StoreChanged> {
  const { random, store, table } = deps;
  progress('asking the store what it holds');
  const held = await readAll(store);
  const cluster = decodeCluster(held.get(keys.cluster) ?? '');
  if (!cluster) throw new OverlaydError('store-failed', 'the store holds no cluster that could be moved');
  const nodes = [...held].flatMap(([key, value]) => (key.startsWith(keys.node('')) ? (decodeNode(value) ?? []) : []));
  requireLevel(STORE_LEVEL, levelOf(cluster), nodes, 'restoring the store, and moving it,');
  requireKeeper(deps);
  refuseSame(deps, to);
  const { access, link } = to ? { access: to, link: openIt(deps, to) } : await beginHere(deps, progress);
  try {
    const epoch = drawEpoch(random, table.epoch, cluster.epoch);
    await copy(deps, { access, link, isKeeper: to === undefined, epoch }, progress);
  } finally {
    link.close();
  }
  return { store: { ...access, bundled: to === undefined }, warnings: [] };
}

function openIt({ identity, openStore }: StoreChangeDeps, to: StoreAccess): StoreLink {
  return openStore(to, tlsMaterialOf(identity));
}

interface Target {
  readonly access: StoreAccess;
  readonly link: StoreLink;
  readonly isKeeper: boolean;
  readonly epoch: string;
}

async function copy(deps: StoreChangeDeps, target: Target, progress: (text: string) => void): Promise<void> {
  const { clock, identity, isAway, store } = deps;
  const { access, link, isKeeper, epoch } = target;
  await refuseOccupied(link, identity.clusterId);
  const gate: StoreGate = { kind: 'move', by: identity.nodeId, startedAt: clock.now(), epoch };
  const leaving: StoreGate = { ...gate, leaving: true };
  const left = await closeGate(store, leaving, isAway);
  let filled: ClosedGate;
  try {
    const before = await link.store.get(keys.storeGate);
    // Whoever moves the store has closed the one that is left: a move of before, whoever's, has ended.
    const isOver = before !== undefined && decodeStoreGate(before.value)?.kind === 'move';
    filled = await closeGate(link.store, gate, isOver ? () => true : isAway);
    const next = movedRecords(deps, await readAll(store), target);
    await fill(filled, next, progress);
    await write(filled, [{ kind: 'put', key: keys.cluster, value: next.get(keys.cluster)! }]);
    progress(isKeeper ? 'members follow it to this host' : 'members follow it');
    const moved: StoreMoved = { epoch, ...access };
    await write(left, [{ kind: 'put', key: keys.storeMoved, value: encodeRecord(moved) }]);
  } catch (error) {
    // Where that fails as well, or it is not known what the store says, it is looked at until it is settled (`unfinished.ts`).
    await takeBack(store, leaving).catch(() => false);
    throw error;
  }
  await arrive(filled);
}

/** There is no way back: whoever follows what the store that was left says may have opened this one. */
async function arrive(filled: ClosedGate): Promise<void> {
  try {
    await openGate(filled, []);
  } catch (error) {
    const entry = await filled.store.get(keys.storeGate).catch(() => 'unknown');
    if (entry === undefined) return;
    const { message } = asOverlaydError(error);
    throw new OverlaydError(
      'store-unavailable',
      `all records are in the other store, which does not answer now (${message}): members follow it as soon as it does, without this command; \`overlayd status\` tells`,
      { cause: error, retryable: true },
    );
  }
}

function movedRecords(deps: StoreChangeDeps, held: Records, { isKeeper, epoch }: Target): Map<string, string> {
  const records = new Map([...held].filter(([key, value]) => isBackedUp({ key, value })));
  return succeeding(records, successor(deps, records, epoch, isKeeper));
}

function refuseSame({ identity: { store } }: StoreChangeDeps, to: StoreAccess | undefined): void {
  const isSame = to ? to.endpoints.some((url) => store.endpoints.includes(url)) : store.bundled;
  if (!isSame) return;
  throw new OverlaydError('conflict', `the store is there already: ${store.endpoints.join(', ')}`);
}

/** It has to be empty, or what an earlier move left of this very cluster. */
async function refuseOccupied({ store }: StoreLink, clusterId: string): Promise<void> {
  const [cluster, gate, moved] = await Promise.all(
    [keys.cluster, keys.storeGate, keys.storeMoved].map((key) => store.get(key)),
  );
  const held = cluster && decodeCluster(cluster.value);
  if (!cluster && !gate && !moved && (await readAll(store)).size === 0) return;
  if ((gate || moved) && (!held || held.id === clusterId)) return;
  throw new OverlaydError(
    'conflict',
    `that etcd holds ${held ? `cluster ${held.id}` : 'records of a cluster'} already, and no word that it was left: use another one, or, if nobody needs it, delete it there (\`etcdctl del --prefix ${keys.cluster.replace(/cluster$/, '')}\`)`,
  );
}
