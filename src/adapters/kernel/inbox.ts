/**
 * A queue between callbacks and one async iterable. Items with a key that is waiting already are one item: what `merge`
 * makes of them, the later one by default.
 */
export interface Inbox<T> {
  push(item: T): void;
  /** Ends the iteration after what is waiting. */
  close(): void;
  fail(error: unknown): void;
  items(): AsyncGenerator<T>;
}

export function createInbox<T>(
  keyOf: (item: T) => string,
  merge: (waiting: T, item: T) => T = (_, item) => item,
): Inbox<T> {
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
      const key = keyOf(item);
      const former = waiting.get(key);
      waiting.set(key, former === undefined ? item : merge(former, item));
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
