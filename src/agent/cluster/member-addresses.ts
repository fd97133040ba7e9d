/** Tells when a member's addresses change: rows, filters and connections follow by themselves, people want to know. */
import type { NodeRecord } from '../../core/records.ts';

type Addresses = Pick<NodeRecord, 'advertiseAddress' | 'vtep'>;

export interface AddressChange {
  readonly node: string;
  readonly from: Addresses;
  readonly to: Addresses;
}

export class MemberAddresses {
  readonly #known = new Map<string, Addresses>();

  /** What differs from the last time, of others. A member that is new differs from nothing. */
  changes(nodes: Iterable<NodeRecord>, selfId: string): AddressChange[] {
    const changes: AddressChange[] = [];
    for (const { id, name, advertiseAddress, vtep } of nodes) {
      if (id === selfId) continue;
      const from = this.#known.get(id);
      const to = { advertiseAddress, vtep };
      this.#known.set(id, to);
      if (from && (from.advertiseAddress !== advertiseAddress || from.vtep !== vtep)) {
        changes.push({ node: name, from, to });
      }
    }
    return changes;
  }
}
