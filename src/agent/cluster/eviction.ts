/**
 * Takes everything away that a node owns, from any other node and without its help. Marked first, so that members stop
 * answering it and sending to it, and its claims fail: they compare the revision of its record. Then its endpoints in
 * chunks until a listing that began after the mark has none, their addresses into hard quarantine, because what runs
 * there may still use them; its own records last, and only if nothing has touched the mark. Each step can be repeated
 * after a crash.
 */
import { decodeEndpoint, decodeNode } from '../../core/record-codec.ts';
import { type EndpointRecord, keys, type NodeRecord, PREFIX, type QuarantineRecord } from '../../core/records.ts';
import type { Clock, ClusterStore, StoreEntry } from '../../ports.ts';
import type { Change, Commit } from '../commit.ts';
import { releaseMac } from '../mac-claims.ts';

export interface EvictionDeps {
  readonly store: Pick<ClusterStore, 'get' | 'list' | 'grantLease'>;
  readonly commit: Commit;
  readonly clock: Pick<Clock, 'now'>;
}

export interface EvictionOptions {
  /** Node id of who evicts. */
  readonly by: string;
  readonly quarantineSeconds: number;
}

/** Three changes for each at most; a transaction takes 128. */
const CHUNK = 40;

/** Returns how many endpoints were removed. Does nothing to a node that is gone but remove what it left behind. */
export async function evictNode(deps: EvictionDeps, nodeId: string, options: EvictionOptions): Promise<number> {
  let removed = 0;
  for (;;) {
    const marked = await markLeft(deps, nodeId);
    removed += await evictEndpoints(deps, nodeId, options);
    if (marked === undefined || (await removeRecords(deps, nodeId, marked))) return removed;
  }
}

/**
 * The node stays listed, as down; members treat it as none. Returns the revision of its record, from which on it claims
 * nothing; undefined when there is no such node.
 */
export async function markLeft(
  { commit, store }: Pick<EvictionDeps, 'commit' | 'store'>,
  nodeId: string,
): Promise<number | undefined> {
  const key = keys.node(nodeId);
  for (;;) {
    const entry = await store.get(key);
    const record = entry && decodeNode(entry.value);
    // One that cannot be read is no member's, and goes like a marked one.
    if (entry === undefined || record === undefined || record.left) return entry?.revision;
    const committed = await commit(
      [{ kind: 'revision', key, revision: entry.revision }],
      [
        { kind: 'put', key, record: { ...record, left: true } satisfies NodeRecord },
        { kind: 'delete', key: keys.live(nodeId) },
      ],
    );
    if (committed) return committed.revision;
  }
}

export async function evictEndpoints(deps: EvictionDeps, nodeId: string, options: EvictionOptions): Promise<number> {
  let removed = 0;
  for (;;) {
    const owned = await endpointsOf(deps.store, nodeId);
    if (owned.length === 0) return removed;
    const lease = await deps.store.grantLease(options.quarantineSeconds);
    for (let i = 0; i < owned.length; i += CHUNK) {
      const chunk = owned.slice(i, i + CHUNK);
      const releasedAt = deps.clock.now();
      const compares = chunk.map(
        ({ entry }) => ({ kind: 'revision', key: entry.key, revision: entry.revision }) as const,
      );
      const changes = chunk.flatMap(({ entry, record }): Change[] => {
        const quarantine: QuarantineRecord = { releasedAt, by: options.by, clean: false };
        const key = keys.quarantine(record.networkId, record.address);
        return [
          { kind: 'delete', key: entry.key },
          { kind: 'put', key, record: quarantine, lease },
          ...releaseMac(record),
        ];
      });
      // One that changed meanwhile fails its chunk; the next round takes it up again.
      if (await deps.commit(compares, changes)) removed += chunk.length;
    }
  }
}

/** False when the node's record was written since it was marked: then endpoints may have been added as well. */
async function removeRecords({ commit, store }: EvictionDeps, nodeId: string, marked: number): Promise<boolean> {
  const key = keys.node(nodeId);
  const entry = await store.get(key);
  if (entry === undefined) return true;
  const name = decodeNode(entry.value)?.name;
  const nameKey = name === undefined ? undefined : keys.nodeName(name);
  const holdsName = nameKey !== undefined && (await store.get(nameKey))?.value === nodeId;
  const committed = await commit(
    [{ kind: 'revision', key, revision: marked }],
    [
      { kind: 'delete', key },
      { kind: 'delete', key: keys.live(nodeId) },
      ...(holdsName ? [{ kind: 'delete', key: nameKey } as const] : []),
    ],
  );
  return committed !== undefined;
}

async function endpointsOf(
  store: EvictionDeps['store'],
  nodeId: string,
): Promise<{ entry: StoreEntry; record: EndpointRecord }[]> {
  const { entries } = await store.list(`${PREFIX}endpoints/`);
  return entries.flatMap((entry) => {
    const record = decodeEndpoint(entry.value);
    return record?.nodeId === nodeId ? [{ entry, record }] : [];
  });
}
