/**
 * Runs the agent's short commands, as a child of the agent. Starting a process copies the page tables of whoever does
 * it, and holds it up for so long: the agent is large and has names to answer, this is small and has nothing else to
 * do. So it must stay small: nothing is imported but what `process.ts` needs.
 *
 * It ends when the agent has gone and what was begun has ended: a batch is better ended than cut.
 */
import { type ProcessEnd, type ProcessRequest, runProcess } from './process.ts';

export type ToSpawner =
  | { readonly id: number; readonly request: ProcessRequest }
  | { readonly id: number; readonly cancel: true };

export type FromSpawner = 'up' | { readonly id: number; readonly end: ProcessEnd };

/** Characters of an output after which the memory is given back: it would take as much as the agent spares otherwise. */
const LARGE = 500_000;

const running = new Map<number, AbortController>();

function tell(message: FromSpawner): void {
  // That the agent has gone is told by the channel; what is left unsaid concerns nobody any more.
  if (!process.connected) return;
  process.send?.(message, () => {
    // A turn later nothing refers to what was sent.
    if (isLarge(message)) setImmediate(() => globalThis.gc?.());
  });
}

function isLarge(message: FromSpawner): boolean {
  return message !== 'up' && message.end.how === 'exited' && message.end.stdout.length >= LARGE;
}

process.on('message', async (message: ToSpawner) => {
  const { id } = message;
  if ('cancel' in message) {
    running.get(id)?.abort();
    return;
  }
  const controller = new AbortController();
  running.set(id, controller);
  const end = await runProcess(message.request, controller.signal);
  running.delete(id);
  tell({ id, end });
});

// A terminal's interrupt reaches the whole group: the agent decides when it ends, and needs commands until then.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

tell('up');
