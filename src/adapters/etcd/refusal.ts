/**
 * What etcd refuses of us until somebody does something about it, in words: told in the log when it begins and when it ends. It ends
 * when that goes well which was refused: who may not write still reads, and who has lost its user is still told of alarms.
 */
import type { Logger } from '../../ports/runtime.ts';
import { isRefusalOfUser } from './store-error.ts';

/** What a call was for; `alarms`: it was asked for them, and there are none. */
export type Purpose = 'read' | 'write' | 'alarms' | 'other';

/** By what was refused: after what it is known not to be so any more. */
const ENDED_BY: Readonly<Record<Purpose, readonly Purpose[]>> = {
  read: ['read'],
  write: ['write'],
  alarms: [],
  // Out of space, or of who we are as a whole.
  other: ['write', 'alarms'],
};

const KV = '/etcdserverpb.KV/';

/** `repeatable`: it changes nothing, or says the same again. */
export function purposeOf(path: string, repeatable: boolean): Purpose {
  if (path === `${KV}Range`) return 'read';
  if (path === `${KV}Put`) return 'write';
  if (path === `${KV}Txn`) return repeatable ? 'read' : 'write';
  return 'other';
}

export class Refusal {
  readonly #logger: Pick<Logger, 'info' | 'error'>;
  #text: string | undefined;
  #of: Purpose = 'other';

  constructor(logger: Pick<Logger, 'info' | 'error'>) {
    this.#logger = logger;
  }

  /** Undefined: nothing is refused. */
  get text(): string | undefined {
    return this.#text;
  }

  begin(text: string, error: unknown, purpose: Purpose): void {
    if (this.#text === undefined) this.#logger.error({ reason: text }, 'etcd refuses what is asked of it');
    // Who may not write is refused as long as that is so, whatever else is refused meanwhile.
    if (this.#text === undefined || this.#of !== 'write') this.#of = isRefusalOfUser(error) ? purpose : 'other';
    this.#text = text;
  }

  wentWell(purpose: Purpose): void {
    if (this.#text === undefined || !ENDED_BY[this.#of].includes(purpose)) return;
    this.#logger.info({}, 'etcd refuses nothing any more');
    this.#text = undefined;
  }
}
