/**
 * The records that this host knows, for a process that keeps a copy of them: all of them once, then what changed. Nothing is kept of
 * who asks. Scales: one pass over the table for each question that finds something new, and no record is decoded.
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

export interface RecordsPart {
  /** Another one than before: the copy is to be made anew. */
  readonly life: string;
  /** The records are of a list of all, which begins with the first part that says so. */
  readonly whole: boolean;
  /** Up to here the copy has all with this part. */
  readonly revision: number;
  readonly records: readonly GossipRecord[];
}

const PART_BYTES = 256 * 1024;
/** None that has a secret, or that is of use to etcd's transactions alone. */
const TOLD = ['nodes', 'node-names', 'live', 'networks', 'endpoints', 'addresses', 'quarantine', 'dns', 'services'];

/** `startedAt`: of the agent's run, whose table begins anew with each. One part at least. */
export function* tellRecords(
  state: Pick<ClusterState, 'delta' | 'epoch' | 'followed' | 'fallBacks'>,
  asked: RecordsAsked,
  startedAt: number,
): Generator<RecordsPart> {
  const life = `${startedAt}/${state.epoch ?? ''}/${state.fallBacks}/${state.followed ? 'store' : 'members'}`;
  let whole = asked.life !== life;
  let revision = whole ? 0 : asked.after;
  for (let parts = 0; ; parts++) {
    const delta = state.delta({ completeTo: revision, ahead: [] }, undefined, PART_BYTES);
    const next = delta ? Math.max(delta.to, delta.records.at(-1)?.revision ?? 0) : revision;
    if (!delta || next <= revision) {
      if (parts === 0) yield { life, whole, revision, records: [] };
      return;
    }
    if (!whole && isUnsure(delta)) {
      whole = true;
      revision = 0;
      continue;
    }
    revision = next;
    yield { life, whole, revision, records: delta.records.filter(({ key }) => isTold(key)) };
  }
}

/** What was deleted meanwhile may not be in it. */
function isUnsure({ from }: Delta): boolean {
  return from === 0;
}

function isTold(key: string): boolean {
  if (key === keys.cluster || key === keys.storeKeepers) return true;
  return TOLD.includes(key.slice(PREFIX.length).split('/', 1)[0]!);
}
