/**
 * Exchanges this host's key: when it is asked for, when the key is old, and when the wall clock was set back, since nobody takes a
 * handshake by a key that is older than the last one (TAI64N, WireGuard, 5.1). Goes on by itself after a start.
 */
import { OverlaydError } from '../../core/errors.ts';
import { WIREGUARD_PACKAGE } from '../../core/wireguard/offers.ts';
import type { Phase, RotationInput } from '../../core/wireguard/rotation.ts';
import { rotationStep } from '../../core/wireguard/rotation.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { KeyRing } from './key-ring.ts';

export interface RotationDeps extends Pick<RotationInput, 'answers' | 'nameOf'> {
  readonly keys: KeyRing;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether the clock was set back before this run. */
  readonly clockMemory?: { readonly isSetBack: boolean; settle(): void } | undefined;
  /** There may be a next step. */
  readonly wake: () => void;
}

export interface RotateOptions {
  /** Nobody is waited for: what is under way to a member that does not follow at once is lost. */
  readonly force: boolean;
}

export interface Exchanged {
  readonly from: string;
  readonly to: string;
}

/** So long may a step take before it is a problem. */
const LONG_MS = 180_000;

/** Members' clocks agree within it, and a handshake is asked for no more often than every two. */
const SET_BACK_MS = 60_000;

export class Rotation {
  readonly #deps: RotationDeps;
  readonly #options: { readonly keyLifetimeMs: number };
  #phase: Phase | undefined;
  #since = 0;
  #why: string | undefined;
  #members: readonly string[] = [];
  #forced = false;
  /** Of the wall clock before the monotonic one, at the last look. */
  #aheadMs = Number.NEGATIVE_INFINITY;
  #isSetBack = false;
  #watching = new Set<(why: string | undefined) => void>();

  constructor(deps: RotationDeps, options: { readonly keyLifetimeMs: number }) {
    this.#deps = deps;
    this.#options = options;
  }

  get isUnderWay(): boolean {
    return this.#deps.keys.keys.length > 1;
  }

  /** What the exchange that is under way waits for, in words; undefined: none is. */
  get why(): string | undefined {
    return this.isUnderWay ? (this.#why ?? 'it begins') : undefined;
  }

  /** In words. */
  problems(): readonly string[] {
    const { clock } = this.#deps;
    if (this.#why === undefined || clock.elapsed() - this.#since < LONG_MS) return [];
    // Nobody may send by the old key, and a handshake by it be the last of what came.
    if (this.#phase === 'drain' && this.#members.length === 0) return [];
    const force = '`overlayd node rotate-key --force` goes on without them';
    const ask =
      this.#phase === 'drain' ? 'does the agent run there?' : 'is the port of the new key open there and here?';
    const todo = this.#members.length > 0 ? `; ${ask} ${force}` : '';
    return [`the exchange of this host's WireGuard key waits: ${this.#why}${todo}`];
  }

  /** After each look at the devices: makes as many steps as can be made now. */
  async advance(
    found: Omit<RotationInput, 'keys' | 'answers' | 'nameOf' | 'phase' | 'since' | 'forced'>,
  ): Promise<void> {
    const { answers, clockMemory, keys, logger, nameOf } = this.#deps;
    this.#noteClock(found.seen.devices.length > 0);
    // Nobody has had a handshake by a key that is to come.
    if (keys.isEmpty) clockMemory?.settle();
    const [first] = keys.keys;
    const isSetBack = this.#isSetBack || clockMemory?.isSetBack;
    const why = isSetBack ? 'the clock was set back' : first && this.#isOld(first.createdAt) ? 'age' : undefined;
    if (!this.isUnderWay && first?.number !== undefined && why !== undefined) {
      logger.info({ event: 'key-exchange', why }, "this host's WireGuard key is exchanged");
      await keys.begin();
      this.#isSetBack = false;
      clockMemory?.settle();
    }
    const of = { phase: this.#phase, since: this.#since, forced: this.#forced };
    const step = rotationStep({ ...found, keys: keys.keys, answers, nameOf, ...of });
    if (step.kind === 'wait') {
      if (step.phase !== this.#phase) this.#enter(step.phase);
      this.#members = step.members;
      this.#say(step.why);
      return;
    }
    this.#enter(undefined);
    this.#members = [];
    if (step.kind === 'promote') {
      await keys.promote();
      logger.info({ event: 'key-exchange', step: 'first', key: keys.keys[0]?.publicKey }, 'the new key is used');
    } else if (step.kind === 'retire') {
      const old = keys.keys[1]?.publicKey;
      await keys.retire();
      logger.info({ event: 'key-exchange', step: 'done', key: old }, 'the old key is gone');
    } else {
      this.#forced = false;
      return this.#say(undefined);
    }
    this.#deps.wake();
  }

  /**
   * Resolves when the old key is gone; one exchange at a time, whoever asked for it. `progress`: in words. It goes on when the
   * signal aborts. Throws `conflict` while there is no key that others have, `tool-missing` where nothing runs WireGuard.
   */
  async rotate({ force }: RotateOptions, progress: (text: string) => void, signal: AbortSignal): Promise<Exchanged> {
    const { keys, logger, wake } = this.#deps;
    const [first] = keys.keys;
    if (first?.number === undefined) {
      const why = keys.problem ?? 'this host has no WireGuard key that the members know';
      throw new OverlaydError('conflict', `there is no key to exchange: ${why}; \`overlayd status\` says more`);
    }
    // A device of the new key could not be made, and the exchange would wait for it without end.
    if (keys.backend === undefined)
      throw new OverlaydError(
        'tool-missing',
        `there is nothing on this host that runs WireGuard: ${WIREGUARD_PACKAGE}`,
      );
    if (!this.isUnderWay) {
      logger.info({ event: 'key-exchange', why: 'asked for', force }, "this host's WireGuard key is exchanged");
      await keys.begin();
    }
    const pair = [...keys.keys].sort((a, b) => a.createdAt - b.createdAt);
    const exchanged = { from: pair[0]!.publicKey, to: pair[1]!.publicKey };
    this.#forced ||= force;
    wake();
    await new Promise<void>((resolve, reject) => {
      const watch = (why: string | undefined) => {
        if (why !== undefined) return progress(why);
        end();
        resolve();
      };
      const give = () => {
        end();
        reject(signal.reason);
      };
      const end = () => {
        this.#watching.delete(watch);
        signal.removeEventListener('abort', give);
      };
      this.#watching.add(watch);
      signal.addEventListener('abort', give, { once: true });
      if (this.#why !== undefined) progress(this.#why);
    });
    return exchanged;
  }

  #enter(phase: Phase | undefined): void {
    this.#phase = phase;
    this.#since = this.#deps.clock.elapsed();
  }

  #say(why: string | undefined): void {
    if (why === this.#why && why !== undefined) return;
    this.#why = why;
    for (const watch of [...this.#watching]) watch(why);
  }

  /** Without devices nobody has had a handshake by the key lately. */
  #noteClock(isUsed: boolean): void {
    const { clock } = this.#deps;
    const aheadMs = clock.now() - clock.elapsed();
    this.#isSetBack ||= isUsed && aheadMs < this.#aheadMs - SET_BACK_MS;
    this.#aheadMs = aheadMs;
  }

  #isOld(createdAt: number): boolean {
    return this.#deps.clock.now() - createdAt >= this.#options.keyLifetimeMs;
  }
}
