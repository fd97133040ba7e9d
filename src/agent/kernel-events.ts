/**
 * What the kernel tells of its changes, gathered: most of it is the echo of a pass, and a burst is one change. The longer
 * a look at what is to be looked at takes, the rarer those looks that only see what a pass before did.
 */
import type { Clock, Kernel } from '../ports.ts';
import { MarkSet, type Marks } from './reconcile-marks.ts';
import type { SeenNetworks } from './seen-networks.ts';

export interface KernelEventsDeps {
  readonly kernel: Pick<Kernel, 'changes'>;
  readonly clock: Clock;
  readonly seen: SeenNetworks;
  /** Of the network with that namespace; undefined when none is known. */
  readonly idOf: (namespace: string) => string | undefined;
  readonly namespaceOf: (networkId: string) => string | undefined;
  /** There is something to look at, which nobody asked for. */
  readonly onMarks: (marks: Marks) => void;
  /** Addresses, routes or links of the host itself changed. */
  readonly onHostChange?: (() => void) | undefined;
}

const SETTLE_MS = { least: 50, most: 1_000, host: 500 } as const;
/** Of the time, a sixth at most goes into looks. */
const LOOK_SHARE = 6;

export class KernelEvents {
  /** How long a look at one network takes. */
  lookMs = 0;
  readonly #deps: KernelEventsDeps;
  readonly #events = new MarkSet();
  readonly #heard = Promise.withResolvers<void>();
  readonly #pending = { events: false, hostChange: false };

  constructor(deps: KernelEventsDeps) {
    this.#deps = deps;
  }

  /** Resolves when changes are heard from now on, or when the signal aborts: what was seen before may be old. */
  async heard(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    signal.addEventListener('abort', () => this.#heard.resolve(), { once: true });
    await this.#heard.promise;
  }

  /** Ends when the signal aborts; throws what the kernel's port throws. */
  async listen(signal: AbortSignal): Promise<void> {
    const { kernel, idOf, onMarks, seen } = this.#deps;
    let isFirst = true;
    for await (const change of kernel.changes(signal)) {
      if (isFirst) {
        isFirst = false;
        // Nothing was looked at before that.
        onMarks({ all: true, host: false, networks: new Map(), asked: false });
        this.#heard.resolve();
      } else if (change.kind === 'underlay') this.#tellHostChangeLater(signal);
      else if (change.kind === 'network') {
        seen.stir(change.namespace);
        const networkId = idOf(change.namespace);
        if (networkId !== undefined) this.#addLater(networkId, signal);
      } else {
        if (change.kind === 'all') seen.forgetAll();
        this.#addLater(change.kind, signal);
      }
    }
  }

  /** The bridges and links of an engine come and go by the dozen. */
  #tellHostChangeLater(signal: AbortSignal): void {
    if (this.#pending.hostChange) return;
    this.#pending.hostChange = true;
    this.#later(SETTLE_MS.host, signal, () => {
      this.#pending.hostChange = false;
      this.#deps.onHostChange?.();
    });
  }

  #addLater(what: string, signal: AbortSignal): void {
    this.#events.add(what, false);
    if (this.#pending.events) return;
    this.#pending.events = true;
    this.#takeWhenSettled(this.#deps.clock.elapsed(), signal);
  }

  #takeWhenSettled(since: number, signal: AbortSignal): void {
    const { clock, namespaceOf, onMarks, seen } = this.#deps;
    const restMs = () => since + this.#settleMs() - clock.elapsed();
    this.#later(restMs(), signal, () => {
      // More may have come to be looked at meanwhile.
      if (restMs() > 0) return this.#takeWhenSettled(since, signal);
      this.#pending.events = false;
      const marks = this.#events.take();
      for (const networkId of marks?.networks.keys() ?? []) seen.forget(namespaceOf(networkId) ?? '');
      if (marks) onMarks(marks);
    });
  }

  #settleMs(): number {
    const lookMs = this.lookMs * this.#events.networks;
    return Math.min(SETTLE_MS.most, Math.max(SETTLE_MS.least, LOOK_SHARE * lookMs));
  }

  #later(ms: number, signal: AbortSignal, task: () => void): void {
    this.#deps.clock.sleep(ms, signal).then(task, () => undefined);
  }
}
