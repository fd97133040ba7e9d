/** Ctrl-C and its like, for commands that have to clean up before they end. */
import { OverlaydError } from '../core/errors.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class Interruption {
  #by: NodeJS.Signals | undefined;

  /** What the command was interrupted by. */
  get by(): NodeJS.Signals | undefined {
    return this.#by;
  }

  /** The work's signal is aborted by the first of them; by another one the command ends at once. */
  async until<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    const interrupt = (signal: NodeJS.Signals) => {
      this.#by = signal;
      ended.abort(new OverlaydError('cancelled', 'interrupted; typed again, it goes on where it ended'));
    };
    for (const signal of SIGNALS) process.once(signal, interrupt);
    try {
      return await work(ended.signal);
    } finally {
      for (const signal of SIGNALS) process.off(signal, interrupt);
    }
  }
}
