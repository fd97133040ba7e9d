/**
 * Records that can be read, and what is known of those that cannot: a value that cannot be read is no deletion, so what was
 * known of its key before stands.
 */
import type { RecordChange } from './gossip/replica.ts';
import type { ClaimRecord, EndpointRecord } from './records.ts';

type Decoder<T> = (text: string) => T | undefined;
type Standing = EndpointRecord | ClaimRecord;

export class LegibleRecords {
  /** Values that cannot be read, by key. */
  readonly unreadable = new Map<string, string>();
  /** Endpoints and claims whose value cannot be read, as they were known before, by key. */
  readonly standing = new Map<string, Standing>();

  /** `before`: what stands if the value cannot be read. `refused` gets the key of one that could be read until now. */
  decode<T>(
    decoder: Decoder<T>,
    { key, value }: RecordChange,
    before: T | undefined,
    refused: string[],
  ): T | undefined {
    const record = value === undefined ? undefined : decoder(value);
    if (value === undefined || record !== undefined) {
      this.unreadable.delete(key);
      return record;
    }
    if (this.unreadable.get(key) !== value) refused.push(key);
    this.unreadable.set(key, value);
    return before;
  }

  /** The same of a key whose record may not be held anywhere: what was known before is decoded then. */
  decodeStanding<T extends Standing>(
    decoder: Decoder<T>,
    change: RecordChange,
    held: T | undefined,
    refused: string[],
  ): T | undefined {
    const { key, before } = change;
    const record = this.decode(decoder, change, undefined, refused);
    if (!this.unreadable.has(key)) {
      this.standing.delete(key);
      return record;
    }
    const former = before === undefined ? undefined : decoder(before);
    const known = held ?? (this.standing.get(key) as T | undefined) ?? former;
    if (known) this.standing.set(key, known);
    return known;
  }

  /** What is not among the unreadable was read when it came, and need not be looked at again. */
  read<T extends Standing>(key: string, parse: () => unknown): T | undefined {
    return (this.isUnreadable(key) ? this.standing.get(key) : parse()) as T | undefined;
  }

  /** Hardly anything ever is, and of ten thousand keys the hash need not be taken for that. */
  isUnreadable(key: string): boolean {
    return this.unreadable.size > 0 && this.unreadable.has(key);
  }
}
