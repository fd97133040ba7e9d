/**
 * Fills a store with records, or changes what it holds into them, while its gate is closed: members neither write there nor
 * follow what is written, until the gate opens with the last transaction. Whoever is interrupted does it again from the
 * start: what is right already is not written again.
 */
import { OverlaydError } from '../../core/errors.ts';
import { decodeStoreGate, encodeRecord } from '../../core/record-codec.ts';
import { keys, PREFIX, type StoreGate } from '../../core/records.ts';
import type { Records } from '../../core/store-restore.ts';
import type { ClusterStore, Compare, Write } from '../../ports/store.ts';

type Store = Pick<ClusterStore, 'get' | 'list' | 'txn'>;

/** etcd takes 128 operations, and 1.5 MB. */
const MOST_WRITES = 100;
const MOST_BYTES = 500_000;
/** Keys that others keep alive there. */
const LEASED = `${PREFIX}live/`;

/** A gate that this node has closed. */
export interface ClosedGate {
  readonly store: Store;
  readonly revision: number;
}

/**
 * From now on nobody else writes. A gate that this node, or one that is `isAway`, closed before is taken over. Throws `conflict`
 * when another node is at it.
 */
export async function closeGate(
  store: Store,
  gate: StoreGate,
  isAway: (nodeId: string) => boolean,
): Promise<ClosedGate> {
  const entry = await store.get(keys.storeGate);
  const by = entry && decodeStoreGate(entry.value)?.by;
  if (by !== undefined && by !== gate.by && !isAway(by)) throw beaten(by);
  const found: Compare = entry
    ? { kind: 'revision', key: keys.storeGate, revision: entry.revision }
    : { kind: 'absent', key: keys.storeGate };
  const put: Write = { kind: 'put', key: keys.storeGate, value: encodeRecord(gate) };
  const closed = await store.txn([found], [put]);
  if (!closed.succeeded) throw beaten(undefined);
  return { store, revision: closed.revision };
}

/** Everything below our prefix, what is leased aside. */
export async function readAll(store: Pick<ClusterStore, 'list'>): Promise<Map<string, string>> {
  const { entries } = await store.list(PREFIX);
  return new Map(entries.filter(({ key }) => !key.startsWith(LEASED)).map(({ key, value }) => [key, value]));
}

/** The cluster's record comes with the gate's end. Throws `conflict` when another node has taken over. */
export async function fill(gate: ClosedGate, wanted: Records, progress: (text: string) => void): Promise<void> {
  const held = await readAll(gate.store);
  const isOurs = (key: string) => key !== keys.storeGate && key !== keys.cluster && !key.startsWith(LEASED);
  const writes: Write[] = [];
  for (const [key, value] of wanted) {
    if (isOurs(key) && held.get(key) !== value) writes.push({ kind: 'put', key, value });
  }
  for (const key of held.keys()) if (isOurs(key) && !wanted.has(key)) writes.push({ kind: 'delete', key });
  let done = 0;
  for (const part of inParts(writes)) {
    await write(gate, part);
    done += part.length;
    progress(`writing records: ${done} of ${writes.length}`);
  }
}

/** What goes with it is written, and everybody else may write again. */
export async function openGate(gate: ClosedGate, writes: readonly Write[]): Promise<void> {
  await write(gate, [...writes, { kind: 'delete', key: keys.storeGate }]);
}

/** Where the outcome is not known it is made certain: what is written again is the same. */
export async function write({ store, revision }: ClosedGate, writes: readonly Write[]): Promise<void> {
  const compares: Compare[] = [{ kind: 'revision', key: keys.storeGate, revision }];
  const { succeeded } = await store.txn(compares, writes);
  if (!succeeded) throw beaten(undefined);
}

/**
 * A move that does not go on: the store that was to be left is as it was before, unless it says where the records are. False: it
 * says so, or the gate is another one by now. Throws what the store throws.
 */
export async function takeBack(store: Store, gate: StoreGate): Promise<boolean> {
  const entry = await store.get(keys.storeGate);
  const held = entry && decodeStoreGate(entry.value);
  if (!entry || held?.by !== gate.by || held.startedAt !== gate.startedAt) return false;
  const compares: Compare[] = [
    { kind: 'revision', key: keys.storeGate, revision: entry.revision },
    { kind: 'absent', key: keys.storeMoved },
    { kind: 'exists', key: keys.cluster },
  ];
  return (await store.txn(compares, [{ kind: 'delete', key: keys.storeGate }])).succeeded;
}

/** The store that was left says that its records are all in this one, of that epoch. Throws what the store throws. */
export async function endArrival(store: Store, epoch: string): Promise<void> {
  const entry = await store.get(keys.storeGate);
  const gate = entry && decodeStoreGate(entry.value);
  if (!entry || gate?.kind !== 'move' || gate.leaving || gate.epoch !== epoch) return;
  await openGate({ store, revision: entry.revision }, []);
}

function* inParts(writes: readonly Write[]): Generator<readonly Write[]> {
  let part: Write[] = [];
  let bytes = 0;
  for (const each of writes) {
    const size = each.kind === 'put' ? each.key.length + each.value.length : 100;
    if (part.length > 0 && (part.length === MOST_WRITES || bytes + size > MOST_BYTES)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(each);
    bytes += size;
  }
  if (part.length > 0) yield part;
}

function beaten(by: string | undefined): OverlaydError {
  const who = by === undefined ? 'another node' : `node ${by.slice(0, 12)}`;
  return new OverlaydError(
    'conflict',
    `${who} is restoring or moving the store at this moment; wait until that has ended: \`overlayd status\` says so`,
    { retryable: true },
  );
}
