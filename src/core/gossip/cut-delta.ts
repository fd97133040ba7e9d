/** What a peer lacks, in the order of revisions, as much of it as one message takes. */
import type { GossipRecord } from './message.ts';

/** Both in the order of revisions, and so is what comes out: of `known` what is not among those that stand before it. */
export function* inOrder<T extends GossipRecord>(
  known: Iterable<T>,
  before: readonly T[],
  isBefore: (key: string) => boolean,
): Generator<T> {
  let next = 0;
  for (const record of known) {
    while (next < before.length && before[next]!.revision < record.revision) yield before[next++]!;
    if (!isBefore(record.key)) yield record;
  }
  yield* before.slice(next);
}

/** The first of them, up to about so many bytes; never a part of what was written at one revision. */
export function cutDelta(
  missing: Iterable<GossipRecord>,
  held: ReadonlySet<number>,
  budgetBytes: number,
): { readonly records: readonly GossipRecord[]; readonly isCut: boolean } {
  const records: GossipRecord[] = [];
  let bytes = 0;
  for (const record of missing) {
    const { key, revision, value } = record;
    if (held.has(revision)) continue;
    // `to` could not tell which of two records of one revision is held.
    if (bytes >= budgetBytes && revision !== records.at(-1)!.revision) return { records, isCut: true };
    records.push(record);
    bytes += key.length + (value?.length ?? 0) + 16;
  }
  return { records, isCut: false };
}
