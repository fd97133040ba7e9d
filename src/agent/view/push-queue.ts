/**
 * News for one member: a few messages are under way at a time, and what comes meanwhile follows together. Single changes wait for
 * nothing; sixty-four at once share some messages.
 */
import type { GossipRecord } from '../../core/gossip/message.ts';

const MOST_UNDER_WAY = 4;
/** Of values, in characters: as many as some two thousand endpoints have. Labels of networks may be longer. */
const MOST_LENGTH = 1_000_000;

interface Waiting<How> {
  /** All that was written at one revision. */
  readonly records: readonly GossipRecord[];
  readonly how: How;
  readonly sent: PromiseWithResolvers<void>;
}

export class PushQueue<How> {
  readonly #send: (records: readonly GossipRecord[], how: How) => Promise<unknown>;
  readonly #waiting: Waiting<How>[] = [];
  #underWay = 0;

  constructor(send: (records: readonly GossipRecord[], how: How) => Promise<unknown>) {
    this.#send = send;
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Settles as the message does that the records are in; how that is sent, the last of them says. */
  push(records: readonly GossipRecord[], how: How): Promise<void> {
    const sent = Promise.withResolvers<void>();
    this.#waiting.push({ records, how, sent });
    if (this.#underWay < MOST_UNDER_WAY) void this.#sendWaiting();
    return sent.promise;
  }

  async #sendWaiting(): Promise<void> {
    const together = this.#take();
    const records = newest(together.flatMap((each) => each.records));
    this.#underWay += 1;
    const outcome = await Promise.allSettled([this.#send(records, together.at(-1)!.how)]);
    this.#underWay -= 1;
    for (const { sent } of together) {
      if (outcome[0].status === 'fulfilled') sent.resolve();
      else sent.reject(outcome[0].reason);
    }
    if (this.#waiting.length > 0) void this.#sendWaiting();
  }

  #take(): Waiting<How>[] {
    let [count, length] = [0, 0];
    for (const { records } of this.#waiting) {
      length += records.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
      if (count > 0 && length > MOST_LENGTH) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}

/** Of each key the last change: what is behind it is part of nothing that the message does not say anew. */
function newest(records: readonly GossipRecord[]): readonly GossipRecord[] {
  const byKey = new Map<string, GossipRecord>();
  for (const record of records) {
    const known = byKey.get(record.key);
    if (known === undefined || known.revision <= record.revision) byKey.set(record.key, record);
  }
  return [...byKey.values()];
}
