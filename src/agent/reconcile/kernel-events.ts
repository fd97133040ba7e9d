/**
 * What the kernel tells of its changes, gathered. What somebody else changed is looked at at once, with all that comes in the
 * same moment. What is most likely the echo of a pass is looked at later: the longer a look takes, the rarer are those
 * that only see what a pass before did. So are those that follow each other, however often somebody changes something.
 */
import type { KernelChange, RowEvent } from '../../core/kernel-change.ts';
import { OVER } from '../../core/over.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { Clock } from '../../ports/runtime.ts';
import { MarkSet, type Marks } from './marks.ts';
import { lastOfEach } from './row-events.ts';
import type { SeenNetworks } from './seen-networks.ts';

export interface KernelEventsDeps {
  readonly kernel: Pick<Kernel, 'changes'>;
  readonly clock: Clock;
  readonly seen: SeenNetworks;
  /** Of the network with that namespace; undefined when none is known. */
  readonly idOf: (namespace: string) => string | undefined;
  readonly namespaceOf: (networkId: string) => string | undefined;
  /** Has the inside of the container at the path, or of all, looked at again. Returns ids of the networks that it is on. */
  readonly doubt: (path: string | undefined) => readonly string[];
  /** There is something to look at, which nobody asked for. */
  readonly onMarks: (marks: Marks) => void;
  /** Addresses, routes or links of the host itself changed. */
  readonly onHostChange?: (() => void) | undefined;
}

const SETTLE_MS = { burst: 5, echo: 50, most: 1_000, host: 500 } as const;
/** Rows of a network: more are looked at. */
const MOST_ECHOES = 256;
/** Of the time, a sixth at most goes into looks. */
const LOOK_SHARE = 6;

/** The time to settle, at least that long, counts from then; of echoes from the end of the writing at the earliest. */
interface Rest {
  readonly since: number;
  readonly leastMs: number;
}

/** What is to be looked at, and what is waited for before that. */
class Pending {
  readonly marks = new MarkSet();
  /** Paths of containers in which something happened. */
  readonly insides = new Set<string>();
  /** Undefined: nothing is waited for. */
  rest: Rest | undefined;
  waiting = new AbortController();
}

export class KernelEvents {
  /** How long a look at one network, or into one container, takes. */
  lookMs = 0;
  /** How many a look at everything takes. */
  looksAtAll = 0;
  readonly #deps: KernelEventsDeps;
  /** Most likely our own doing. It does not go along with what others do: it would be looked at in the midst of the writing. */
  readonly #echoed = new Pending();
  readonly #events = new Pending();
  /** Networks to be planned by what is known of them. */
  readonly #known = new MarkSet();
  /** By namespace: rows that are most likely of our own writing. */
  readonly #echoes = new Map<string, RowEvent[]>();
  readonly #heard = Promise.withResolvers<void>();
  #hostChange = false;
  /** When a plan was carried out last; undefined: one is. */
  #wroteAt: number | undefined = Number.NEGATIVE_INFINITY;
  /** When events were taken last. */
  #takenAt = Number.NEGATIVE_INFINITY;

  constructor(deps: KernelEventsDeps) {
    this.#deps = deps;
  }

  /** Resolves when changes are heard from now on, or when the signal aborts: what was seen before may be old. */
  async heard(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    signal.addEventListener('abort', () => this.#heard.resolve(), { once: true });
    await this.#heard.promise;
  }

  /** What is heard is most likely the echo of what is written, until the returned function is called. */
  writing(): () => void {
    this.#wroteAt = undefined;
    return () => {
      this.#wroteAt = this.#deps.clock.elapsed();
    };
  }

  /** Ends when the signal aborts; throws what the kernel's port throws. */
  async listen(signal: AbortSignal): Promise<void> {
    const { kernel, onMarks, seen } = this.#deps;
    let isFirst = true;
    for await (const change of kernel.changes(signal)) {
      if (isFirst) {
        isFirst = false;
        // Nothing was looked at before that.
        onMarks({ all: true, host: false, networks: new Map(), asked: false });
        this.#heard.resolve();
      } else if (change.kind === 'underlay') this.#tellHostChangeLater(signal);
      else if (change.kind === 'container') {
        (change.echo ? this.#echoed : this.#events).insides.add(change.path);
        this.#takeLater(change.echo === true, signal);
      } else if (change.kind === 'network') this.#hear(change, signal);
      else {
        if (change.kind === 'all') {
          seen.forgetAll();
          this.#deps.doubt(undefined);
        }
        this.#addLater(change.kind, change.kind === 'host' && change.echo === true, signal);
      }
    }
  }

  #hear({ namespace, echo, rows }: Extract<KernelChange, { kind: 'network' }>, signal: AbortSignal): void {
    const { idOf, seen } = this.#deps;
    const networkId = idOf(namespace);
    const echoes = [...(this.#echoes.get(namespace) ?? []), ...(rows ?? [])];
    if (rows && echo && echoes.length <= MOST_ECHOES) {
      // What it came to is told when the writing is over.
      this.#echoes.set(namespace, echoes);
      this.#takeLater(true, signal);
      return;
    }
    // What we wrote before is what somebody changes then.
    if (rows && !echo) this.#echoes.delete(namespace);
    const known = rows && !echo ? seen.correct(namespace, lastOfEach(echoes)) : undefined;
    if (known === 'agrees') return;
    if (known === 'corrected') {
      if (networkId === undefined) return;
      this.#known.add(networkId, false);
      this.#takeLater(false, signal);
      return;
    }
    // What the kernel knows by itself is no reason to look; it counts where it stands in the place of what was known.
    if (!echo && rows?.every(({ what }) => what === 'unwritten')) {
      seen.miss(namespace, rows);
      return;
    }
    if (echo) seen.stir(namespace);
    else seen.forget(namespace);
    if (networkId !== undefined) this.#addLater(networkId, echo === true, signal);
  }

  /** Of rows that are as they were written nobody needs to know. */
  #takeEchoes(): void {
    const { idOf, seen } = this.#deps;
    for (const [namespace, rows] of this.#echoes) {
      const networkId = idOf(namespace);
      // What is known while something is written will be replaced by what was written.
      const isWriting = this.#wroteAt === undefined;
      const known = isWriting ? 'unknown' : seen.correct(namespace, lastOfEach(rows));
      if (networkId === undefined || known === 'agrees') continue;
      const marks = known === 'corrected' ? this.#known : this.#echoed.marks;
      marks.add(networkId, false);
    }
    this.#echoes.clear();
  }

  /** The bridges and links of an engine come and go by the dozen. */
  #tellHostChangeLater(signal: AbortSignal): void {
    if (this.#hostChange) return;
    this.#hostChange = true;
    this.#later(SETTLE_MS.host, signal, () => {
      this.#hostChange = false;
      this.#deps.onHostChange?.();
    });
  }

  #addLater(what: string, isEcho: boolean, signal: AbortSignal): void {
    (isEcho ? this.#echoed : this.#events).marks.add(what, false);
    this.#takeLater(isEcho, signal);
  }

  #takeLater(isEcho: boolean, signal: AbortSignal): void {
    const pending = isEcho ? this.#echoed : this.#events;
    const rest = isEcho
      ? { since: this.#deps.clock.elapsed(), leastMs: SETTLE_MS.echo }
      : { since: this.#takenAt, leastMs: 0 };
    if (pending.rest && this.#dueAt(pending, pending.rest) <= this.#dueAt(pending, rest)) return;
    pending.rest = rest;
    pending.waiting.abort(OVER);
    pending.waiting = new AbortController();
    this.#takeWhenSettled(pending, rest, AbortSignal.any([signal, pending.waiting.signal]));
  }

  #takeWhenSettled(pending: Pending, rest: Rest, signal: AbortSignal): void {
    const restMs = () => this.#dueAt(pending, rest) - this.#deps.clock.elapsed();
    this.#later(Math.max(SETTLE_MS.burst, restMs()), signal, () => {
      // More may have come to be looked at meanwhile.
      if (restMs() > 0) this.#takeWhenSettled(pending, rest, signal);
      else this.#take(pending);
    });
  }

  #take(pending: Pending): void {
    const { clock, namespaceOf, onMarks, seen } = this.#deps;
    pending.rest = undefined;
    this.#takenAt = clock.elapsed();
    if (pending === this.#echoed) this.#takeEchoes();
    for (const networkId of [...pending.insides].flatMap((path) => this.#deps.doubt(path)))
      this.#known.add(networkId, false);
    pending.insides.clear();
    const marks = pending.marks.take();
    for (const networkId of marks?.networks.keys() ?? []) seen.forget(namespaceOf(networkId) ?? '');
    if (marks) onMarks(marks);
    const known = this.#known.take();
    if (known) onMarks(known);
  }

  #dueAt(pending: Pending, { since, leastMs }: Rest): number {
    const { insides, marks } = pending;
    const looks = (marks.all ? this.looksAtAll : marks.networks) + insides.size;
    const restMs = Math.max(leastMs, LOOK_SHARE * this.lookMs * looks);
    // Who waits for what was written is told first.
    const begun = pending === this.#echoed ? Math.max(since, this.#wroteAt ?? this.#deps.clock.elapsed()) : since;
    return Math.min(since + SETTLE_MS.most, begun + restMs);
  }

  #later(ms: number, signal: AbortSignal, task: () => void): void {
    this.#deps.clock.sleep(ms, signal).then(task, () => undefined);
  }
}
