/** What one listener hears of an engine, over the engine's restarts. */
import type { EngineEvent } from '../../src/core/engine/engine.ts';
export class EventStream {
  readonly #signal: AbortSignal;
  #pending: EngineEvent[] = [];
  #open = false;
  #reported = false;
  #wake = () => {};

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  begin(version: string): void {
    this.#open = true;
    this.#reported = false;
    this.#add({ kind: 'connected', version });
  }

  /** What was not read yet is lost with the connection. */
  lose(): void {
    this.#open = false;
    this.#pending = [];
    if (!this.#reported) this.#add({ kind: 'unreachable', reason: 'the engine ended the stream of events' });
    this.#reported = true;
  }

  push(event: EngineEvent): void {
    if (this.#open) this.#add(event);
  }

  async *items(): AsyncGenerator<EngineEvent> {
    while (!this.#signal.aborted) {
      const next = this.#pending.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  #add(event: EngineEvent): void {
    this.#pending.push(event);
    this.#wake();
  }
}
