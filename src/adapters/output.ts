/**
 * Standard output and standard error. Node.js writes to a pipe as much as it takes at once (64 KiB) and the rest later:
 * who exits meanwhile cuts it. A reader that has seen enough and goes (`overlayd … | head -1`) is no failure.
 */
import type { Writable } from 'node:stream';

export class Output {
  readonly #open: () => Writable;
  #opened: Writable | undefined;
  #failure: NodeJS.ErrnoException | undefined;
  readonly #unread = new AbortController();

  /** `open`: called with the first that is written. To look at one of Node.js's own is to make it. */
  constructor(open: () => Writable) {
    this.#open = open;
  }

  get #stream(): Writable {
    this.#opened ??= this.#open().on('error', (error) => {
      this.#failure ??= error;
      if (this.#failure.code === 'EPIPE') this.#unread.abort();
    });
    return this.#opened;
  }

  /** Aborts when nobody is left to read: what goes on without end may end. */
  get unread(): AbortSignal {
    return this.#unread.signal;
  }

  /** Where nobody is left to read nothing is written any more; a disk that is full may have room again. */
  write(text: string): void {
    if (this.#failure?.code !== 'EPIPE') this.#stream.write(text);
  }

  /** Waits, however slow the reader is, until everything was taken or cannot be any more. Returns what went wrong. */
  async drain(): Promise<Error | undefined> {
    if (!this.#opened) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stream.write('', () => resolve());
    await promise;
    return this.#failure?.code === 'EPIPE' ? undefined : this.#failure;
  }
}
