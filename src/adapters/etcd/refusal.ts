/**
 * What etcd refuses of us until somebody does something about it, in words: told in the log when it begins and when it ends. It ends
 * when that goes well which was refused: who may not write still reads, who has lost its user is still told of alarms, and who may not
 * write some keys writes others. What nobody asks for any more is refused to nobody.
 */
import { status } from '@grpc/grpc-js';
import { areaOf, isKeepersArea } from '../../core/store-rights.ts';
import { KVService, type PutRequest, type RangeRequest, type RequestOp, type TxnRequest } from '../../gen/etcd/rpc.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { isRefusalOfUser, statusOf } from './store-error.ts';

/** What a call was for; `alarms`: it was asked for them, and there are none. */
export type Purpose = 'read' | 'write' | 'alarms' | 'other';

export interface Asked {
  readonly purpose: Purpose;
  /** Of its keys: each once, as of `areaOf`. */
  readonly areas: readonly string[];
}

export const OTHER: Asked = { purpose: 'other', areas: [] };
export const ALARMS: Asked = { purpose: 'alarms', areas: [] };

/** Whatever is refused is asked for again within this time, if anybody wants it. */
const REMEMBERED_MS = 10 * 60_000;
/** What keepers alone may. One that has just become one is refused it for a moment; who is none any more does not ask again. */
const KEEPERS_MS = 30_000;
const MOST = 64;

interface Refused {
  /** `connection`: all of it, as by TLS. */
  readonly purpose: Purpose | 'connection';
  readonly text: string;
  /** It is forgotten then. */
  readonly until: number;
  /** Of its areas those of which nothing went well since. */
  readonly left: Set<string>;
}

/** `repeatable`: it changes nothing, or says the same again. */
export function askedOf(path: string, request: unknown, repeatable: boolean): Asked {
  if (path === KVService.range.path) return asked('read', [(request as RangeRequest).key]);
  if (path === KVService.put.path) return asked('write', [(request as PutRequest).key]);
  if (path !== KVService.txn.path) return OTHER;
  const { compare, failure, success } = request as TxnRequest;
  const keys = [...compare.map(({ key }) => key), ...[...success, ...failure].flatMap(keyOf)];
  return asked(repeatable ? 'read' : 'write', keys);
}

export function askedOfPrefix(prefix: string): Asked {
  return { purpose: 'read', areas: [areaOf(prefix)] };
}

function asked(purpose: Purpose, keys: readonly Buffer[]): Asked {
  return { purpose, areas: [...new Set(keys.map((key) => areaOf(key.toString('utf8'))))].sort() };
}

function keyOf({ request }: RequestOp): readonly Buffer[] {
  return request === undefined ? [] : [request.value.key];
}

export interface RefusalDeps {
  readonly logger: Pick<Logger, 'info' | 'error'>;
  readonly clock: Pick<Clock, 'elapsed'>;
}

export class Refusal {
  readonly #deps: RefusalDeps;
  /** By what was asked, the latest last. */
  readonly #all = new Map<string, Refused>();

  constructor(deps: RefusalDeps) {
    this.#deps = deps;
  }

  /** Undefined: nothing is refused. */
  get text(): string | undefined {
    this.#forget();
    return [...this.#all.values()].at(-1)?.text;
  }

  begin(text: string, error: unknown, asked: Asked): void {
    this.#forget();
    const { areas, purpose } = refusedBy(error, asked);
    if (this.#all.size === 0) this.#deps.logger.error({ reason: text }, 'etcd refuses what is asked of it');
    const name = [purpose, ...areas].join();
    this.#all.delete(name);
    const isOfKeepers = purpose === 'other' || (purpose === 'write' && areas.every(isKeepersArea));
    const forMs = isOfKeepers && isRefusalOfUser(error) ? KEEPERS_MS : REMEMBERED_MS;
    const until = this.#deps.clock.elapsed() + forMs;
    this.#all.set(name, { purpose, text, until, left: new Set(areas) });
    if (this.#all.size > MOST) this.#all.delete(this.#all.keys().next().value!);
  }

  wentWell({ areas, purpose }: Asked): void {
    this.#end((refused) => {
      if (refused.purpose === 'connection') return true;
      if (refused.purpose === 'other') return purpose === 'write' || purpose === 'alarms';
      if (refused.purpose !== purpose) return false;
      for (const area of areas) refused.left.delete(area);
      return refused.left.size === 0;
    });
  }

  #forget(): void {
    const now = this.#deps.clock.elapsed();
    this.#end(({ until }) => now >= until);
  }

  #end(isOver: (refused: Refused) => boolean): void {
    if (this.#all.size === 0) return;
    for (const [name, refused] of this.#all) if (isOver(refused)) this.#all.delete(name);
    if (this.#all.size === 0) this.#deps.logger.info({}, 'etcd refuses nothing any more');
  }
}

function refusedBy(error: unknown, asked: Asked): Pick<Refused, 'purpose'> & Pick<Asked, 'areas'> {
  if (statusOf(error).code === status.UNAVAILABLE) return { purpose: 'connection', areas: [] };
  // Else out of space, or of who we are as a whole.
  return isRefusalOfUser(error) ? asked : OTHER;
}
