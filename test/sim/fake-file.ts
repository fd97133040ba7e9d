import { OverlaydError } from '../../src/core/errors.ts';
import { type StoreMemory, UnusableState } from '../../src/core/store-memory.ts';
import type { JsonFile } from '../../src/ports/files.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import type { Life } from './mortal.ts';

/** A small file of a simulated host: it outlives the agent, and what writes it takes its time and may fail. */
export class FakeFile<T> {
  content: T | undefined;
  /** Every write fails. */
  isFull = false;
  /** What is in it cannot be read. */
  isDamaged: boolean | 'but for its memory of etcd' = false;
  /** How long a write takes. */
  ms = 0;
  readonly #clock: Pick<Clock, 'sleep'>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock;
  }

  /** As the agent of that life has it: writes come one after the other, and what its end cuts short does not get there. */
  of(life: Life): JsonFile<T> {
    return {
      load: async () => {
        if (!this.isDamaged) return this.content;
        const { store } = (this.isDamaged === true ? {} : this.content) as { readonly store?: StoreMemory };
        const cause = new UnusableState('it is of another format', store);
        throw new OverlaydError('state-unreadable', 'state.json is not usable', { cause });
      },
      save: (value) => {
        const copy = structuredClone(value);
        return this.#write(life, () => {
          this.content = copy;
          this.isDamaged = false;
        });
      },
      remove: () => this.#write(life, () => this.lose()),
    };
  }

  /** It is gone. */
  lose(): void {
    this.content = undefined;
    this.isDamaged = false;
  }

  /** Nobody writes any more. */
  cut(): void {
    this.#last = Promise.resolve();
  }

  #write(life: Life, write: () => void): Promise<void> {
    const written = this.#last.then(async () => {
      if (this.isFull) throw new Error('no space left on device');
      if (this.ms > 0) await this.#clock.sleep(this.ms);
      if (!life.over) write();
    });
    this.#last = written.catch(() => undefined);
    return written;
  }
}
