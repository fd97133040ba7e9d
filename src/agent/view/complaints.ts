/**
 * Which members said what cannot be, or what etcd does not hold, and wrote what they may not: told once in the log, and in `status` as
 * long as it goes on. A member that errs does so whenever it is asked what is new, which members do with each other again and again: where that has
 * happened many times without a word of it the matter is over, and at once where its agent has been started anew, or it is a member no more.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { Refuted } from '../../core/gossip/replica.ts';
import type { Clock } from '../../ports/runtime.ts';
import { Refusals, type RefusalsDeps } from './refusals.ts';

export interface ComplaintsDeps extends Pick<RefusalsDeps, 'logger'> {
  readonly view: () => Pick<ClusterView, 'live' | 'node' | 'nodes' | 'refusals'>;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly nameOf: (nodeId: string) => string;
  /** What the key is to this host, in words: it has it itself; undefined when it has not. */
  readonly ownOf: (key: string) => string | undefined;
}

type Kind = 'nonsense' | 'unconfirmed' | 'forged';

interface Complaint {
  readonly from: string;
  readonly kind: Kind;
  /** Whether it was a member. */
  readonly isListed: boolean;
  /** When its agent had started; undefined: that was not known. */
  readonly startedAt: number | undefined;
  count: number;
  last: string;
  lastAt: number;
}

/** So long after the last one a member is named at least; and so long for each member, as of many each is asked seldom. */
const NAMED_MS = 60_000;
const NAMED_EACH_MS = 2_000;

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
    const view = this.#deps.view();
    const said = { isListed: view.node(from) !== undefined, startedAt: view.live(from)?.startedAt };
    this.#all.set(`${kind} ${from}`, { from, kind, ...said, count, last, lastAt });
    const event = { event: 'member-contradicted', peer: this.#deps.nameOf(from), kind, what: last } as const;
    this.#deps.logger.warn(event, 'a member says what is not so');
  }

  /** Whatever ran there when it was said. */
  #isGone({ from, isListed, startedAt }: Complaint): boolean {
    const view = this.#deps.view();
    if (isListed && view.node(from)?.left !== false) return true;
    const now = view.live(from)?.startedAt;
    return startedAt !== undefined && now !== undefined && now > startedAt;
  }

  #forgetOld(): void {
    if (this.#all.size === 0) return;
    const { clock, view } = this.#deps;
    const members = [...view().nodes()].length;
    const oldest = clock.elapsed() - Math.max(NAMED_MS, members * NAMED_EACH_MS);
    for (const [id, complaint] of this.#all)
      if (complaint.lastAt < oldest || this.#isGone(complaint)) this.#all.delete(id);
  }
}
