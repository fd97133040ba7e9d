import { errorLine, PartialFailure } from './exit.ts';
import type { Session } from './session.ts';

/**
 * One request after another. Those that fail are reported and the rest goes on; `finish` gets the answers of those that
 * did not, in order. After one that was interrupted by `signal` there are no more. A single one that fails keeps its own error and exit code, several end in {@link PartialFailure}.
 */
export async function forEach<T>(
  session: Session,
  refs: readonly string[],
  work: (ref: string) => Promise<T>,
  finish: (done: readonly T[]) => void = () => {},
  signal?: AbortSignal,
): Promise<void> {
  const done: T[] = [];
  let failed = false;
  for (const ref of refs) {
    try {
      done.push(await work(ref));
    } catch (error) {
      if (refs.length === 1) throw error;
      session.surroundings.writeError(errorLine(error));
      failed = true;
      if (signal?.aborted) break;
    }
  }
  finish(done);
  if (failed) throw new PartialFailure();
}
