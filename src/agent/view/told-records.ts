/**
 * The records that this host knows, for a process that keeps a copy of them: all of them once, then what changed. Nothing is kept of
 * who asks. Scales: one pass over the table for each question that finds something new, and no record is decoded; all of them come in
 * parts of a millisecond.
 */
import type { Delta, GossipRecord } from '../../core/gossip/message.ts';
import { keys, PREFIX } from '../../core/records.ts';
import type { ClusterState } from './cluster-state.ts';

export interface RecordsAsked {
  /** Of the copy: as it was told with its last part; empty: there is no copy yet. */
  readonly life: string;
  /** The revision up to which it has all. */
  readonly after: number;
}

type Told = Pick<ClusterState, 'delta' | 'list' | 'epoch' | 'followed' | 'fallBacks'>;

export interface RecordsPart {
  /** Another one than before: the copy is to be made anew. */
  readonly life: string;
  /** The records are of a list of all, which begins with the first part that says so. */
  readonly whole: boolean;
  /** Up to here the copy has all with this part; 0: more of the list follows. */
  readonly revision: number;
  readonly records: readonly GossipRecord[];
}

/** Taken out and encoded in a millisecond: so long names wait, and whoever else asks. */
const PART_BYTES = 32 * 1024;
/** Of changes; so many that they are more than these parts are told as all that there is. */
const CHANGES_BYTES = 64 * 1024;
const MOST_PARTS = 4;
/** None that has a secret, or that is of use to etcd's transactions alone. */
const TOLD = ['nodes', 'node-names', 'live', 'networks', 'endpoints', 'addresses', 'quarantine', 'dns', 'services'];

/**
 * `startedAt`: of the agent's run, whose table begins anew with each. One part at least. Time may pass between two of them: what
 * changes meanwhile is told at the next question.
 */
export function* tellRecords(state: Told, asked: RecordsAsked, startedAt: number): Generator<RecordsPart> {
  const life = `${startedAt}/${state.epoch ?? ''}/${state.fallBacks}/${state.followed ? 'store' : 'members'}`;
  const changes = asked.life === life ? changesAfter(state, asked.after) : undefined;
  for (const part of changes ?? wholeOf(state)) yield { life, whole: changes === undefined, ...part };
}

type Part = Pick<RecordsPart, 'revision' | 'records'>;

/** Nothing is sorted, so no part costs more than what is in it; the last one alone says what the copy has with it. */
function* wholeOf(state: Told): Generator<Part> {
  const { revision, records } = state.list();
  let part: GossipRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    if (!isTold(record.key)) continue;
    part.push(record);
    bytes += record.key.length + (record.value?.length ?? 0);
    if (bytes < PART_BYTES) continue;
    yield { revision: 0, records: part };
    part = [];
    bytes = 0;
  }
  yield { revision, records: part };
}

/**
 * Undefined: what was deleted may not be among them. They are few, and are taken out at once. What is known beyond that of which
 * nothing is missing comes at a later question, for the copy would not be told what was missing.
 */
function changesAfter(state: Told, after: number): readonly Part[] | undefined {
  const { revision: complete } = state.list();
  const parts: Part[] = [];
  for (let revision = after; revision < complete; ) {
    const delta = state.delta({ completeTo: revision, ahead: [] }, undefined, CHANGES_BYTES);
    const next = delta ? Math.min(complete, Math.max(delta.to, delta.records.at(-1)?.revision ?? 0)) : revision;
    if (!delta || next <= revision) break;
    if (isUnsure(delta) || parts.length === MOST_PARTS) return undefined;
    revision = next;
    parts.push({ revision, records: delta.records.filter(({ key }) => isTold(key)) });
  }
  return parts.length > 0 ? parts : [{ revision: after, records: [] }];
}

/** What was deleted meanwhile may not be in it. */
function isUnsure({ from }: Delta): boolean {
  return from === 0;
}

function isTold(key: string): boolean {
  if (key === keys.cluster || key === keys.storeKeepers) return true;
  return TOLD.includes(key.slice(PREFIX.length).split('/', 1)[0]!);
}
