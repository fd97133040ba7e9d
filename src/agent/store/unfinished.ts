/**
 * A move of the store that broke off, as a member of the store that was to be left sees it. Nobody has to do anything about it:
 * - Until that store says where its records are it is the right one. Its gate is taken away, by the agent of the node that moved
 *   it, or by a keeper while that one is not heard: should it go on all the same, its next transaction is refused.
 * - From then on the other store is the right one. Who reads that here goes there, and opens it, should the node that moved have
 *   ended before it did.
 * What a store does not answer to is asked again until it is settled.
 */
import { Latch } from '../../core/latch.ts';
import type { StoreGate, StoreMoved } from '../../core/records.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import { keepLooking } from '../cluster/keep-looking.ts';
import { takeBack } from './copy.ts';

export interface UnfinishedMoveDeps {
  readonly selfId: string;
  readonly store: Pick<ClusterStore, 'get' | 'list' | 'txn'>;
  /** This agent is about something: it may be moving the store. */
  readonly isBusy: () => boolean;
  /** This host may write all of the store. */
  readonly isKeeper: () => boolean;
  /** The agent of that node is not heard. */
  readonly isAway: (nodeId: string) => boolean;
  /** The records are there. Said again until this member is. */
  readonly follow: (moved: StoreMoved) => void;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly logger: Logger;
}

const LOOK_MS = 1_000;
const IDLE_MS = 60_000;
/** An agent that is not heard for so long does not move anything. */
const AWAY_MS = 10_000;

export class UnfinishedMove {
  readonly #deps: UnfinishedMoveDeps;
  readonly #due = new Latch();
  #gate: StoreGate | undefined;
  #moved: StoreMoved | undefined;
  /** Since when the node that moves the store is not heard, by the monotonic clock. */
  #awaySince: number | undefined;

  constructor(deps: UnfinishedMoveDeps) {
    this.#deps = deps;
  }

  seeGate(gate: StoreGate | undefined): void {
    this.#gate = gate;
    this.#awaySince = undefined;
    // A store that is written again was not left.
    if (!gate) this.#moved = undefined;
    this.#due.set();
  }

  seeMoved(moved: StoreMoved): void {
    this.#moved = moved;
    this.#due.set();
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const look = async () => {
      await this.step();
      return this.#gate === undefined && this.#moved === undefined ? IDLE_MS : LOOK_MS;
    };
    const problem = 'a move of the store that broke off is not taken back yet';
    const about = () => ({ gate: this.#gate });
    await keepLooking({ ...this.#deps, due: this.#due }, { look, problem, retryMs: LOOK_MS, about }, signal);
  }

  /** Looks once. Throws what the store throws. */
  async step(): Promise<void> {
    const { follow, isBusy, isKeeper, logger, selfId, store } = this.#deps;
    const gate = this.#gate;
    if (this.#moved) return follow(this.#moved);
    if (gate?.kind !== 'move') return;
    const mayEnd = gate.by === selfId ? !isBusy() : gate.leaving && isKeeper() && this.#isGone(gate.by);
    if (!mayEnd || !(await takeBack(store, gate))) return;
    logger.warn({ event: 'store-move-taken-back', gate }, 'a move of the store that broke off is taken back');
  }

  #isGone(nodeId: string): boolean {
    const { clock, isAway } = this.#deps;
    if (!isAway(nodeId)) this.#awaySince = undefined;
    else this.#awaySince ??= clock.elapsed();
    return this.#awaySince !== undefined && clock.elapsed() - this.#awaySince >= AWAY_MS;
  }
}
