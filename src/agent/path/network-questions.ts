/** Questions to other members with a network's number, of which each is answered, or known to be lost on its way there or back; and theirs. */
import type { NetworkOutcome } from '../../core/path/network-path.ts';
import {
  decodeNetworkProbe,
  encodeFrame,
  encodeNetworkProbe,
  type NetworkProbe,
} from '../../core/path/network-probe.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Clock, Random } from '../../ports/runtime.ts';
import type { Ears } from './ears.ts';

export interface NetworkQuestionsDeps {
  readonly ears: Pick<Ears, 'listensSince' | 'send'>;
  readonly self: () => Pick<NodeRecord, 'id'>;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  /** Of an endpoint of that member on the network; undefined: it has none, or is no member. */
  readonly macOf: (vni: number, nodeId: string) => string | undefined;
  /** To that member by the path without the network. */
  readonly sendBeside: (vni: number, nodeId: string, data: Uint8Array) => void;
  /** That member got no answer by the network. */
  readonly onNotice: (vni: number, nodeId: string) => void;
}

interface Waiting {
  readonly nodeId: string;
  readonly vni: number;
  readonly bytes: number;
  readonly settle: (outcome: NetworkOutcome) => void;
}

/** A busy host takes its time. */
const ANSWER_MS = 1_500;
/** A question that somebody tells of has been under way for as long at most, also where its sender is busy. */
const UNDER_WAY_MS = 2 * ANSWER_MS;
/** A second: more are not answered. Members ask a few a minute. */
const MOST_ANSWERS = 500;
/** Questions that came in, of which receipts tell. */
const REMEMBERED = 1_024;

export class NetworkQuestions {
  readonly #deps: NetworkQuestionsDeps;
  readonly #waiting = new Map<number, Waiting>();
  /** Member and number of the last ones, oldest first. */
  readonly #heard = new Set<string>();
  #answers = { since: Number.NEGATIVE_INFINITY, count: 0 };

  constructor(deps: NetworkQuestionsDeps) {
    this.#deps = deps;
  }

  /** `bytes`: of the payload. */
  async ask(vni: number, nodeId: string, bytes: number): Promise<NetworkOutcome> {
    const { clock, ears, macOf, random, self, sendBeside } = this.#deps;
    const mac = macOf(vni, nodeId);
    if (mac === undefined || ears.listensSince(vni) === undefined) return 'unknown';
    const askedAt = clock.elapsed();
    const probe = { ...SAYS_NOTHING, number: Math.floor(random.next() * 2 ** 32), vni, nodeId: self().id, bytes };
    const waits = (settle: Waiting['settle']) =>
      this.#waiting.set(probe.number, { nodeId, vni, bytes: probe.bytes, settle });
    const answered = await this.#within(waits, () =>
      ears.send(vni, encodeFrame(mac, self().id, encodeNetworkProbe({ ...probe, kind: 'ask' }))),
    );
    const outcome =
      answered ??
      (await this.#within(waits, () =>
        sendBeside(vni, nodeId, encodeNetworkProbe({ ...probe, kind: 'notice', bytes: 0 })),
      ));
    this.#waiting.delete(probe.number);
    // Its own place may have gone meanwhile, and be another one by now.
    return outcome === 'back' || (outcome && this.#hasListened(vni, askedAt)) ? outcome : 'unknown';
  }

  #hasListened(vni: number, since: number): boolean {
    return (this.#deps.ears.listensSince(vni) ?? Number.POSITIVE_INFINITY) <= since;
  }

  /** Undefined: nothing came in time. */
  async #within(waits: (settle: Waiting['settle']) => void, send: () => void): Promise<NetworkOutcome | undefined> {
    const { promise, resolve } = Promise.withResolvers<NetworkOutcome | undefined>();
    const over = new AbortController();
    this.#deps.clock.sleep(ANSWER_MS, over.signal).then(
      () => resolve(undefined),
      () => undefined,
    );
    waits(resolve);
    send();
    const outcome = await promise;
    over.abort();
    return outcome;
  }

  /** What came in by the network with that number. */
  heard(vni: number, data: Uint8Array): void {
    const { ears, macOf, self } = this.#deps;
    const probe = decodeNetworkProbe(data);
    const mac = probe && probe.vni === vni ? macOf(vni, probe.nodeId) : undefined;
    if (!probe || mac === undefined) return;
    if (probe.kind === 'answer') {
      const waiting = this.#waitingFor(probe);
      if (waiting?.bytes === probe.bytes) waiting.settle('back');
      return;
    }
    if (probe.kind !== 'ask' || !this.#mayAnswer()) return;
    this.#remember(`${probe.nodeId} ${probe.number}`);
    const answer = encodeNetworkProbe({ ...probe, kind: 'answer', nodeId: self().id });
    ears.send(vni, encodeFrame(mac, self().id, answer));
  }

  /** What came in without the network, from that member. */
  takeBeside(nodeId: string, data: Uint8Array): void {
    const { clock, macOf, onNotice, self, sendBeside } = this.#deps;
    const probe = decodeNetworkProbe(data);
    if (!probe || probe.nodeId !== nodeId || macOf(probe.vni, nodeId) === undefined) return;
    if (probe.kind === 'receipt') {
      // Where its place is none any more, its answer did not leave either.
      const lost = probe.heard ? 'lost-back' : 'lost-there';
      this.#waitingFor(probe)?.settle(probe.listens ? lost : 'unknown');
      return;
    }
    if (probe.kind !== 'notice' || !this.#mayAnswer()) return;
    const heard = this.#heard.has(`${nodeId} ${probe.number}`);
    // Of a place that was opened after the question came nothing tells that it got lost.
    const listens = this.#hasListened(probe.vni, clock.elapsed() - UNDER_WAY_MS);
    const receipt = { ...probe, kind: 'receipt' as const, nodeId: self().id, heard, listens };
    sendBeside(probe.vni, nodeId, encodeNetworkProbe(receipt));
    onNotice(probe.vni, nodeId);
  }

  #waitingFor({ nodeId, number, vni }: NetworkProbe): Waiting | undefined {
    const waiting = this.#waiting.get(number);
    return waiting?.nodeId === nodeId && waiting.vni === vni ? waiting : undefined;
  }

  #remember(question: string): void {
    this.#heard.add(question);
    if (this.#heard.size > REMEMBERED) for (const oldest of this.#heard) return void this.#heard.delete(oldest);
  }

  #mayAnswer(): boolean {
    const now = this.#deps.clock.elapsed();
    if (now - this.#answers.since >= 1_000) this.#answers = { since: now, count: 0 };
    this.#answers.count += 1;
    return this.#answers.count <= MOST_ANSWERS;
  }
}

const SAYS_NOTHING = { listens: false, heard: false } as const;
