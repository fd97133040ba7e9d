/**
 * Transactions that wait while others are under way go as one: sixty-four attaches at once are a few writes of etcd's, and a
 * few messages to each peer, instead of sixty-four. What is alone waits for nothing.
 *
 * Each still stands for itself. Only such share one that do the same together as one after the other, and where one of them
 * keeps all from happening, or is refused, each is tried alone.
 */
import { isOverlaydError } from '../../core/errors.ts';
import type { Compare, Write } from '../../ports/store.ts';

export interface Transaction {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

/** Undefined: a compare did not hold. Rejects with `store-unavailable` where it may have happened, with `store-failed` where it did not. */
type Transact<T> = (transaction: Transaction) => Promise<T | undefined>;

type Turn<T> =
  /** To be sent, together with these. */
  | { readonly kind: 'lead'; readonly others: readonly Waiting<T>[] }
  | { readonly kind: 'alone' }
  | { readonly kind: 'done'; readonly outcome: T };

interface Waiting<T> {
  readonly transaction: Transaction;
  readonly turn: PromiseWithResolvers<Turn<T>>;
}

/** Two at a time cost nobody a wait. */
const MOST_UNDER_WAY = 2;
/** Of etcd's 128, with one for the compare that every transaction has besides. */
const MOST_OPERATIONS = 127;
/** Of values, in characters: an eighth of what etcd takes in a request, were each of them three bytes long. */
const MOST_LENGTH = 65_536;

export class SharedTransactions<T> {
  readonly #transact: Transact<T>;
  readonly #waiting: Waiting<T>[] = [];
  #underWay = 0;

  constructor(transact: Transact<T>) {
    this.#transact = transact;
  }

  /** As `transact` does, for each by itself. */
  async run(transaction: Transaction): Promise<T | undefined> {
    if (this.#underWay < MOST_UNDER_WAY || !isOfKeys(transaction))
      return await this.#counted(() => this.#transact(transaction));
    const waiting = { transaction, turn: Promise.withResolvers<Turn<T>>() };
    this.#waiting.push(waiting);
    const turn = await waiting.turn.promise;
    if (turn.kind === 'done') return turn.outcome;
    if (turn.kind === 'alone') return await this.#transact(transaction);
    return await this.#counted(() => this.#lead(transaction, turn.others));
  }

  async #lead(own: Transaction, others: readonly Waiting<T>[]): Promise<T | undefined> {
    let outcome: T | undefined;
    if (others.length > 0) {
      try {
        outcome = await this.#transact(together([own, ...others.map(({ transaction }) => transaction)]));
      } catch (error) {
        if (!isOverlaydError(error, 'store-failed')) {
          // It may have happened, to all of them.
          for (const { turn } of others) turn.reject(error);
          throw error;
        }
      }
      const turn: Turn<T> = outcome === undefined ? { kind: 'alone' } : { kind: 'done', outcome };
      for (const other of others) other.turn.resolve(turn);
    }
    return outcome ?? (await this.#transact(own));
  }

  async #counted(task: () => Promise<T | undefined>): Promise<T | undefined> {
    this.#underWay += 1;
    try {
      return await task();
    } finally {
      this.#underWay -= 1;
      const [first, ...others] = this.#underWay < MOST_UNDER_WAY ? this.#take() : [];
      first?.turn.resolve({ kind: 'lead', others });
    }
  }

  /** The first that waits, and with it what may share its transaction: nothing where it is too large to be shared. */
  #take(): Waiting<T>[] {
    const first = this.#waiting.shift();
    if (!first) return [];
    const shared = new Shared();
    if (!shared.take(first.transaction)) return [first];
    const others = this.#waiting.filter(({ transaction }) => shared.take(transaction));
    const left = this.#waiting.filter((waiting) => !others.includes(waiting));
    this.#waiting.splice(0, this.#waiting.length, ...left);
    return [first, ...others];
  }
}

class Shared {
  readonly #compares = new Set<string>();
  readonly #written = new Set<string>();
  #length = 0;

  /**
   * False: it may not go with what was taken before. It must find what they write as it is afterwards, so it compares nothing of
   * that; what it writes and they compare makes no difference to them.
   */
  take({ compares, writes }: Transaction): boolean {
    const touched = [...compares, ...writes].map((each) => ('key' in each ? each.key : each.prefix));
    if (touched.some((key) => this.#written.has(key))) return false;
    const texts = new Set([...this.#compares, ...compares.map(textOf)]);
    const length = writes.reduce((sum, write) => sum + (write.kind === 'put' ? write.value.length : 0), this.#length);
    const count = Math.max(texts.size, this.#written.size + writes.length);
    if (count > MOST_OPERATIONS || length > MOST_LENGTH) return false;
    for (const text of texts) this.#compares.add(text);
    for (const write of writes) if ('key' in write) this.#written.add(write.key);
    this.#length = length;
    return true;
  }
}

/** What is said of ranges of keys goes alone. */
function isOfKeys({ compares, writes }: Transaction): boolean {
  return compares.every(({ kind }) => kind !== 'empty') && writes.every(({ kind }) => kind !== 'delete-prefix');
}

function together(transactions: readonly Transaction[]): Transaction {
  const compares = new Map(transactions.flatMap((each) => each.compares.map((compare) => [textOf(compare), compare])));
  return { compares: [...compares.values()], writes: transactions.flatMap(({ writes }) => writes) };
}

function textOf(compare: Compare): string {
  return JSON.stringify(compare);
}
