/**
 * Two layers of records: what etcd said is known, and before it stands what members said, as far as it is used. Known ones
 * are many, and packed (`record-table.ts`); what is heard is etcd's a few milliseconds later, where etcd is followed.
 */
import { inOrder } from './cut-delta.ts';
import { type ParsedRecord, RecordTable, type TableRecord } from './record-table.ts';

export interface HeardRecord extends TableRecord {
  /** Node id of who said it. */
  readonly from: string;
  readonly at: number;
  /** False: kept to be checked, and not shown. */
  readonly used: boolean;
}

/** Fields whose values thousands of records have; what a record is about is its network. */
const PACKED = { shared: ['networkId', 'nodeId', 'subnet'], subject: 'networkId' };

/** One that is no tombstone. */
export type HeldRecord = TableRecord & { readonly value: string };

export class ShownRecords {
  readonly known = new RecordTable(PACKED);
  /** Each is newer than what is known of its key. */
  readonly heard = new Map<string, HeardRecord>();

  /** A tombstone too. */
  get(key: string): TableRecord | undefined {
    return this.#used(key) ?? this.known.get(key);
  }

  /** All that is newer, tombstones too, in the order of revisions. */
  since(revision: number): Iterable<TableRecord> {
    const heard = [...this.heard.values()].filter((each) => each.used && each.revision > revision).map(plain);
    heard.sort((a, b) => a.revision - b.revision);
    return inOrder(this.known.since(revision), heard, (key) => this.#used(key) !== undefined);
  }

  *all(): Iterable<HeldRecord> {
    for (const record of this.since(0)) if (isHeld(record)) yield record;
  }

  /** The same in any order, as `RecordTable.all`: nothing is sorted, and time may pass while somebody goes through it. */
  *each(): Iterable<HeldRecord> {
    for (const record of this.known.all()) if (isHeld(record) && !this.#used(record.key)) yield record;
    for (const record of this.heard.values()) if (record.used && isHeld(record)) yield record;
  }

  /** What there is of a group, e.g. `/overlayd/v2/addresses/<network id>/`. */
  below(group: string): Iterable<ParsedRecord> {
    return this.#with(this.known.below(group), ({ key }) => key.startsWith(group));
  }

  /** What has keys of that beginning and a value that is about the network: maybe others too, and never too few. */
  about(networkId: string, beginning: string): Iterable<ParsedRecord> {
    const isMeant = ({ key, value }: HeldRecord) =>
      key.startsWith(beginning) && (value.includes(networkId) || value.includes('\\'));
    return this.#with(this.known.about(networkId, beginning), isMeant);
  }

  /** How much there is of a group. */
  count(group: string): number {
    return this.known.count(group) + this.#addedBelow(group);
  }

  /** How much there is in all groups of that beginning. */
  countAll(beginning: string): number {
    return this.known.countAll(beginning) + this.#addedBelow(beginning);
  }

  /** How much more there is of such keys than is known. */
  #addedBelow(beginning: string): number {
    let added = 0;
    for (const { key, used, value } of this.heard.values()) {
      if (!used || !key.startsWith(beginning)) continue;
      added += Number(value !== undefined) - Number(this.known.get(key)?.value !== undefined);
    }
    return added;
  }

  *#with(known: Iterable<ParsedRecord>, isMeant: (record: HeldRecord) => boolean): Iterable<ParsedRecord> {
    // Nearly always nothing is heard that is not known.
    for (const record of known) if (this.heard.size === 0 || !this.#used(record.key)) yield record;
    for (const each of this.heard.values()) {
      if (each.used && isHeld(each) && isMeant(each)) yield { key: each.key, parse: () => JSON.parse(each.value) };
    }
  }

  #used(key: string): HeardRecord | undefined {
    const heard = this.heard.get(key);
    return heard?.used ? heard : undefined;
  }
}

function plain({ key, revision, value }: TableRecord): TableRecord {
  return { key, revision, value };
}

function isHeld(record: TableRecord): record is HeldRecord {
  return record.value !== undefined;
}
