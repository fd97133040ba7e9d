/** Which members said what cannot be, or what etcd does not hold, and wrote what they may not: told once in the log, and in `status` for a while. */
import type { Refuted } from '../../core/gossip/replica.ts';
import type { Clock } from '../../ports/runtime.ts';
import { Refusals, type RefusalsDeps } from './refusals.ts';

export interface ComplaintsDeps extends RefusalsDeps {
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly nameOf: (nodeId: string) => string;
  /** What the key is to this host, in words: it has it itself; undefined when it has not. */
  readonly ownOf: (key: string) => string | undefined;
}

type Kind = 'nonsense' | 'unconfirmed' | 'forged';

interface Complaint {
  readonly from: string;
  readonly kind: Kind;
  count: number;
  last: string;
  lastAt: number;
}

/** How long after the last one a member is named. */
const NAMED_MS = 600_000;

export class Complaints {
  readonly #deps: ComplaintsDeps;
  readonly #all = new Map<string, Complaint>();
  readonly #refusals: Refusals;

  constructor(deps: ComplaintsDeps) {
    this.#deps = deps;
    this.#refusals = new Refusals(deps);
  }

  /** The view may have changed. */
  look(): void {
    this.#refusals.look();
  }

  nonsense(from: string, what: readonly string[]): void {
    this.#note(from, 'nonsense', what.length, what[0] ?? '');
  }

  refuted({ from, record: { key, revision } }: Refuted): void {
    const own = this.#deps.ownOf(key);
    if (own !== undefined) this.#note(from, 'forged', 1, own);
    else this.#note(from, 'unconfirmed', 1, `${key} at revision ${revision}`);
  }

  problems(): string[] {
    this.#forgetOld();
    return [...[...this.#all.values()].map((complaint) => this.#describe(complaint)), ...this.#refusals.problems()];
  }

  #describe({ from, kind, count, last }: Complaint): string {
    const who = `node ${this.#deps.nameOf(from)}`;
    const times = `${count === 1 ? 'once' : `${count} times`}, last ${last}`;
    switch (kind) {
      case 'nonsense':
        return `${who} said what cannot be (${times}); it is ignored: update or restart the agent there`;
      case 'unconfirmed':
        return `${who} told of records that etcd does not hold (${times}); etcd's word counts: restart the agent there, or find out whether etcd lags`;
      case 'forged':
        return `${who} changed what is this host's own and what this host did not write (${times}); it is ignored: find out what runs there, and \`overlayd node rm\` it if it is not yours`;
    }
  }

  #note(from: string, kind: Kind, count: number, last: string): void {
    this.#forgetOld();
    const lastAt = this.#deps.clock.elapsed();
    const known = this.#all.get(`${kind} ${from}`);
    if (known) {
      Object.assign(known, { count: known.count + count, last, lastAt });
      return;
    }
    this.#all.set(`${kind} ${from}`, { from, kind, count, last, lastAt });
    const event = { event: 'member-contradicted', peer: this.#deps.nameOf(from), kind, what: last } as const;
    this.#deps.logger.warn(event, 'a member says what is not so');
  }

  #forgetOld(): void {
    const oldest = this.#deps.clock.elapsed() - NAMED_MS;
    for (const [id, { lastAt }] of this.#all) if (lastAt < oldest) this.#all.delete(id);
  }
}
