/**
 * The one way in which this host changes what the cluster shares: a transaction, whose outcome is known here and told to
 * the peers as one unit. A peer takes a push for all that was written at its revision, so it always is all: every record
 * is encoded once, and what a prefix held the store itself says.
 */
import { OverlaydError } from '../../core/errors.ts';
import type { GossipRecord } from '../../core/gossip/message.ts';
import { decodeStoreGate, encodeRecord } from '../../core/record-codec.ts';
import { keys, type StoreGate } from '../../core/records.ts';
import type { ClusterStore, Compare, TxnResult, Write } from '../../ports/store.ts';
import { SharedTransactions } from './shared-transactions.ts';

export type Change =
  /** A string is written as it is. */
  | { readonly kind: 'put'; readonly key: string; readonly record: object | string; readonly lease?: string }
  | Exclude<Write, { readonly kind: 'put' }>;

export interface Committed {
  readonly revision: number;
  /** Resolves when the peers that are there have it, or after a moment; never rejects. */
  readonly told: Promise<void>;
}

/**
 * All compares hold: the changes are made, perhaps at one revision with others', and the peers are being told. Undefined: one does
 * not hold, nothing happened.
 * Throws what `ClusterStore.txn` throws; after `store-unavailable` it may have happened or not, and nobody is told. Throws
 * `store-unavailable` too while records are copied from one store to another: then nothing happened.
 */
export type Commit = (compares: readonly Compare[], changes: readonly Change[]) => Promise<Committed | undefined>;

export interface CommitDeps {
  readonly store: Pick<ClusterStore, 'get' | 'txn'>;
  /** Takes it into the view. */
  readonly learn: (records: readonly GossipRecord[]) => void;
  readonly push: (records: readonly GossipRecord[]) => Promise<void>;
}

export function committing({ store, learn, push }: CommitDeps): Commit {
  const transactions = new SharedTransactions<Committed>(async ({ compares, writes }) => {
    const result = await store.txn([GATE_OPEN, ...compares], writes);
    if (!result.succeeded) return undefined;
    const written = recordsOf(writes, result);
    learn(written);
    return { revision: result.revision, told: push(written) };
  });
  return async (compares, changes) =>
    (await transactions.run({ compares, writes: changes.map(encode) })) ?? (await refuseWhileGated(store));
}

/** Of a host that is no member yet, or has stopped being one: it has no view, and the members hear of it from etcd. */
export function committingAlone(store: Pick<ClusterStore, 'get' | 'txn'>): Commit {
  return committing({ store, learn: () => undefined, push: async () => undefined });
}

/** Holds as long as nobody copies records from this store or into it: part of every transaction. */
export const GATE_OPEN: Compare = { kind: 'absent', key: keys.storeGate };

async function refuseWhileGated(store: Pick<ClusterStore, 'get'>): Promise<undefined> {
  const gate = await store.get(keys.storeGate);
  if (!gate) return;
  throw new OverlaydError('store-unavailable', gateProblem(decodeStoreGate(gate.value), undefined), {
    retryable: true,
  });
}

/** In words, why nothing is written now, and what ends it. `by`: the name of the node that began it. */
export function gateProblem(gate: StoreGate | undefined, by: string | undefined): string {
  const what = gate?.kind === 'move' ? 'moved' : 'restored';
  const since = gate ? ` since ${new Date(gate.startedAt).toISOString()}` : '';
  const who = by ?? gate?.by.slice(0, 12);
  const where = who === undefined ? '' : ` by node ${who}`;
  const next = gate?.leaving
    ? 'a move that broke off is taken back by itself'
    : `if that broke off, run \`overlayd store ${gate?.kind === 'move' ? 'move' : 'restore'}\` again`;
  return `the cluster's store is being ${what}${where}${since}: existing networks go on, changes wait; ${next}`;
}

/** Holds as long as the key is as it was found. */
export function unchanged(key: string, found: { readonly revision: number } | undefined): Compare {
  return found ? { kind: 'revision', key, revision: found.revision } : { kind: 'absent', key };
}

function encode(change: Change): Write {
  if (change.kind !== 'put') return change;
  const { record, ...rest } = change;
  return { ...rest, value: typeof record === 'string' ? record : encodeRecord(record) };
}

function recordsOf(writes: readonly Write[], { revision, deleted }: TxnResult): GossipRecord[] {
  const named = writes.flatMap((write): GossipRecord[] => {
    if (write.kind === 'delete-prefix') return [];
    const { key } = write;
    return [write.kind === 'put' ? { key, value: write.value, revision } : { key, revision }];
  });
  return [...named, ...deleted.map((key) => ({ key, revision }))];
}
