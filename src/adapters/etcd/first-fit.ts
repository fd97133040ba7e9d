/**
 * Which of several is fit: they are tried in their order, each a head start after the one before it, or as soon as that
 * one has failed. So one that is silent costs no more than a head start, and the others are left alone while the first
 * is well (after RFC 8305, "Happy Eyeballs"). Those that failed are tried again while another one is still silent, as they
 * need not wait for it to be well, and as long as it is worth it.
 */
import type { Clock } from '../../ports/runtime.ts';

export interface FirstFitOptions {
  readonly clock: Pick<Clock, 'sleep'>;
  readonly headStartMs: number;
  /** After a failure, until the next attempt. */
  readonly againMs: number;
  /** All have failed: whether one of them will be fit in a moment. Absent: none will. */
  readonly isWorthIt?: () => boolean;
  readonly signal?: AbortSignal;
}

/**
 * @param attempt - ends, and cleans up, when the signal aborts.
 * @param discard - gets what came too late.
 * @throws an `AggregateError` of what each threw last, once each has failed and it is not worth it to go on; the reason of the signal.
 */
export function firstFit<Candidate, Fit>(
  { clock, headStartMs, againMs, isWorthIt, signal }: FirstFitOptions,
  candidates: readonly Candidate[],
  attempt: (candidate: Candidate, signal: AbortSignal) => Promise<Fit>,
  discard: (fit: Fit) => void,
): Promise<Fit> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const giveUp = () => {
      over.abort();
      reject(signal?.reason);
    };
    if (signal?.aborted) return giveUp();
    signal?.addEventListener('abort', giveUp, { once: true });
    over.signal.addEventListener('abort', () => signal?.removeEventListener('abort', giveUp), { once: true });
    const failures = new Map<Candidate, unknown>();
    const later = (ms: number, job: () => void) => void clock.sleep(ms, over.signal).then(job, () => undefined);
    const begun = new Set<number>();
    const begin = (turn: number) => {
      // Twice for each turn: when its time has come, and when the one before has failed.
      if (turn === candidates.length || begun.has(turn) || over.signal.aborted) return;
      begun.add(turn);
      later(headStartMs, () => begin(turn + 1));
      tryOnce(turn);
    };
    const tryOnce = (turn: number) => {
      const candidate = candidates[turn]!;
      attempt(candidate, over.signal).then(
        (fit) => {
          if (over.signal.aborted) return discard(fit);
          over.abort();
          resolve(fit);
        },
        (error: unknown) => {
          if (over.signal.aborted) return;
          failures.set(candidate, error);
          begin(turn + 1);
          const isNext = failures.size < candidates.length || isWorthIt?.() === true;
          if (isNext) return later(againMs, () => tryOnce(turn));
          over.abort();
          reject(new AggregateError(failures.values()));
        },
      );
    };
    begin(0);
  });
}
