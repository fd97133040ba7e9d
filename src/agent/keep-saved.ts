/**
 * Files that memory does not depend on: what could not be written (a full disk) counts all the same, is written as soon as
 * it can be, and is told meanwhile.
 */
import type { Clock, Logger } from '../ports/runtime.ts';

export interface Saved {
  /** Why the file is not what it should be; undefined when it is. */
  readonly unsaved: string | undefined;
  /** The file has what counts, but not the latest of what may be older there. */
  readonly isStale?: boolean;
  save(): Promise<void>;
}

const RETRY_MS = 5_000;
/** What may be older in the file is written so rarely. */
const STALE_TURNS = 12;

/** Goes on until the signal aborts; what may be older in the file is written once more then, if only to say when that was. */
export async function keepSaved(
  { saved, clock, logger }: { readonly saved: Saved; readonly clock: Clock; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  try {
    await keep({ saved, clock, logger }, signal);
  } finally {
    if (saved.isStale !== undefined) await saved.save().catch(() => undefined);
  }
}

async function keep(
  { saved, clock, logger }: { readonly saved: Saved; readonly clock: Clock; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  let told: string | undefined;
  for (let turn = 1; !signal.aborted; turn++) {
    const { unsaved } = saved;
    if (unsaved !== undefined && told === undefined) {
      logger.error({ reason: unsaved }, 'what this node must remember cannot be written, trying again');
    }
    if (unsaved === undefined && told !== undefined) logger.info({}, 'what this node must remember is written again');
    told = unsaved;
    await clock.sleep(RETRY_MS, signal, 'loosely');
    const isDue = turn % STALE_TURNS === 0 && saved.isStale;
    if (saved.unsaved !== undefined || isDue) await saved.save().catch(() => undefined);
  }
}
