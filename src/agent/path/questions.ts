/** Questions to other members through the data path, of which each is answered once or gets lost; and theirs, answered. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { decodeProbe, encodeProbe, type Probe, probeAddressOf } from '../../core/path/probe.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Backend } from '../../core/underlay.ts';
import type { Clock, Random } from '../../ports/runtime.ts';

export interface QuestionsDeps {
  readonly backend: Backend;
  readonly view: () => Pick<ClusterView, 'node'>;
  readonly self: () => Pick<NodeRecord, 'id'>;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly stopwatch: () => number;
  readonly send: (data: Uint8Array, address: string) => void;
  /** That member's question came in. */
  readonly onAsked: (nodeId: string) => void;
}

export interface Answered {
  /** Undefined: no answer came in time. */
  readonly roundTripMs: number | undefined;
  /** Of the other one's wall clock. */
  readonly aheadMs?: number;
}

interface Waiting {
  readonly nodeId: string;
  readonly bytes: number;
  readonly settle: (answer: Probe) => void;
}

/** A busy host takes its time. */
const ANSWER_MS = 2_000;
/** A second: more are not answered. Members ask a few a minute. */
const MOST_ANSWERS = 500;

export class Questions {
  readonly #deps: QuestionsDeps;
  readonly #waiting = new Map<number, Waiting>();
  #answers = { since: Number.NEGATIVE_INFINITY, count: 0 };

  constructor(deps: QuestionsDeps) {
    this.#deps = deps;
  }

  /** `bytes`: of the payload. */
  async ask(node: Pick<NodeRecord, 'id' | 'vtep' | 'wireguard'>, bytes: number): Promise<Answered> {
    const { backend, clock, random, self, send, stopwatch } = this.#deps;
    const address = probeAddressOf(backend, node);
    if (address === undefined) return { roundTripMs: undefined };
    const number = Math.floor(random.next() * 2 ** 32);
    const { promise, resolve } = Promise.withResolvers<Probe | undefined>();
    const given = new AbortController();
    this.#waiting.set(number, { nodeId: node.id, bytes, settle: resolve });
    clock.sleep(ANSWER_MS, given.signal).then(
      () => resolve(undefined),
      () => undefined,
    );
    const sentAt = stopwatch();
    const sentNow = clock.now();
    send(encodeProbe({ kind: 'ask', number, nodeId: self().id, now: sentNow, bytes }), address);
    const answer = await promise;
    given.abort();
    this.#waiting.delete(number);
    if (!answer) return { roundTripMs: undefined };
    const roundTripMs = stopwatch() - sentAt;
    return { roundTripMs, aheadMs: Math.round(answer.now - (sentNow + roundTripMs / 2)) };
  }

  /** What came in, from that address. What is no member's is dropped. */
  take(data: Uint8Array, from: string): void {
    const { backend, clock, onAsked, self, send, view } = this.#deps;
    const probe = decodeProbe(data);
    const node = probe && view().node(probe.nodeId);
    if (!probe || !node || node.left || probeAddressOf(backend, node) !== from) return;
    if (probe.kind === 'answer') {
      const waiting = this.#waiting.get(probe.number);
      if (waiting?.nodeId === node.id && waiting.bytes === probe.bytes) waiting.settle(probe);
      return;
    }
    onAsked(node.id);
    if (!this.#mayAnswer()) return;
    send(encodeProbe({ ...probe, kind: 'answer', nodeId: self().id, now: clock.now() }), from);
  }

  #mayAnswer(): boolean {
    const now = this.#deps.clock.elapsed();
    if (now - this.#answers.since >= 1_000) this.#answers = { since: now, count: 0 };
    this.#answers.count += 1;
    return this.#answers.count <= MOST_ANSWERS;
  }
}
