/** A queue between callbacks and one async iterable. Items with a key that is waiting already are one item. */
export interface Inbox<T> {
  push(item: T): void;
  /** Ends the iteration after what is waiting. */
  close(): void;
  fail(error: unknown): void;
  items(): AsyncGenerator<T>;
}

export function createInbox<T>(keyOf: (item: T) => string): Inbox<T> {
  const waiting = new Map<string, T>();
  let wake: (() => void) | undefined;
  let closed = false;
  let failure: { readonly error: unknown } | undefined;
  const notify = () => {
    wake?.();
    wake = undefined;
  };
  return {
    push(item) {
      waiting.set(keyOf(item), item);
      notify();
    },
    close() {
      closed = true;
      notify();
    },
    fail(error) {
      failure ??= { error };
      notify();
    },
    async *items() {
      for (;;) {
        const [entry] = waiting;
        if (entry) {
          waiting.delete(entry[0]);
          yield entry[1];
        } else if (failure) {
          throw failure.error;
        } else if (closed) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
}
