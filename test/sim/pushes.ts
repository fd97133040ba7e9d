/**
 * What members push to each other, compared with what etcd holds of it: who hears a push takes it for all that was written
 * at its revision. In every simulation.
 */
import type { GossipMessage } from '../../src/core/gossip/message.ts';
import type { MemoryEtcd } from './memory-store.ts';

export class Pushes {
  readonly #etcd: MemoryEtcd;
  readonly #partial: string[] = [];
  readonly revisions = new Set<number>();

  constructor(etcd: MemoryEtcd) {
    this.#etcd = etcd;
  }

  note({ from, delta, digest }: GossipMessage): void {
    // With a digest, what the sender holds whole is said by that.
    if (!delta || digest) return;
    const told = new Map(delta.records.map((record) => [record.key, record]));
    for (const revision of new Set(delta.records.map((record) => record.revision))) {
      this.revisions.add(revision);
      for (const { key, value } of this.#etcd.changedAt(revision) ?? []) {
        const record = told.get(key);
        // What was changed once more since is told as it is now.
        const isTold = record && (record.revision > revision || record.value === value);
        if (!isTold) this.#partial.push(`${from}: revision ${revision} without ${key}`);
      }
    }
  }

  check(): void {
    const partial = this.#partial.splice(0);
    if (partial.length > 0)
      throw new Error(`pushes that lack a part of their revision: ${partial.slice(0, 5).join('; ')}`);
  }
}
