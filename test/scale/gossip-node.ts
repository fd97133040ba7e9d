/** The part of an agent that gossips: its own classes over a network and a clock that are simulated. */
import { Gossip } from '../../src/agent/view/gossip.ts';
import type { ClusterView } from '../../src/core/cluster-view.ts';
import { FailureDetector } from '../../src/core/failure-detector.ts';
import type { Digest, GossipMessage, GossipRecord } from '../../src/core/gossip/message.ts';
import { type Hearing, type RecordChange, Replica } from '../../src/core/gossip/replica.ts';
import { formatHostPort } from '../../src/core/host-port.ts';
import type { NodeRecord } from '../../src/core/records.ts';
import type { Clock, Logger, Random } from '../../src/ports/runtime.ts';
import { Cpu } from './cpu.ts';
import type { LeanNetwork } from './lean-network.ts';

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

/** Interval of the shipped configuration. */
export const INTERVAL_MS = 1_000;

export interface GossipNodeDeps {
  readonly network: LeanNetwork;
  readonly clock: Clock;
  readonly random: Random;
  /** All members: the one part of the view that gossip itself looks at. */
  readonly members: () => Iterable<NodeRecord>;
  /** A record came to this node. */
  readonly onRecord: (node: GossipNode, key: string) => void;
  /** The members that this node hides changed. */
  readonly onHidden: (node: GossipNode, hidden: ReadonlySet<string>) => void;
}

export class GossipNode {
  readonly record: NodeRecord;
  readonly cpu: Cpu;
  readonly #deps: GossipNodeDeps;
  readonly #replica = new Replica();
  readonly #detector: FailureDetector;
  readonly #gossip: Gossip;
  readonly #quit = new AbortController();
  #hidden: ReadonlySet<string> = new Set();

  constructor(deps: GossipNodeDeps, record: NodeRecord) {
    const { clock, random, network } = deps;
    this.#deps = deps;
    this.record = record;
    this.cpu = new Cpu(clock, random);
    this.#detector = new FailureDetector({ selfId: record.id, intervalMs: INTERVAL_MS });
    const view: Pick<ClusterView, 'nodes'> = { nodes: deps.members };
    this.#gossip = new Gossip(
      {
        state: {
          view,
          digest: () => this.#replica.digest(),
          epoch: undefined,
          followed: false,
          delta: (digest: Digest, _: string | undefined, budgetBytes: number) =>
            this.#replica.delta(digest, budgetBytes),
          screen: (message) => message,
          hear: (message) => this.#hear(message),
        },
        transport: network.transport(record.id, this.cpu),
        detector: this.#detector,
        clock: {
          now: () => clock.now(),
          elapsed: () => clock.elapsed(),
          sleep: (ms, signal) => clock.sleep(this.cpu.delayed(ms), signal),
        },
        random,
        logger: silent,
        addressOf: ({ advertiseAddress, gossipPort }) => formatHostPort(advertiseAddress, gossipPort),
        isHidden: (nodeId) => this.#hidden.has(nodeId),
        onInterval: () => this.#updateHidden(),
      },
      { selfId: record.id, intervalMs: INTERVAL_MS },
    );
  }

  /** Begins with what etcd listed at `revision`; its first interval ends at a moment of its own. */
  async start(revision: number): Promise<void> {
    const { clock, random } = this.#deps;
    const { signal } = this.#quit;
    this.#detector.begin(clock.now());
    this.#replica.mergeSnapshot(revision, []);
    this.#replica.stalled();
    await this.#gossip.serve(signal);
    await clock.sleep(random.next() * INTERVAL_MS);
    await this.#gossip.run(signal).catch(() => undefined);
  }

  stop(): void {
    this.#quit.abort();
  }

  /** An own write: etcd, which only the writer reaches, has told it everything up to its revision; then it is pushed. */
  async write(history: readonly GossipRecord[]): Promise<void> {
    const { revision } = history.at(-1)!;
    const own = history.filter((record) => record.revision === revision);
    const changes = this.#replica.mergeEvents(
      revision,
      history.filter((record) => record.revision > this.#replica.confirmed),
    );
    this.#replica.stalled();
    this.#tell(changes);
    await this.#gossip.push(own);
  }

  holds(key: string): boolean {
    return this.#replica.get(key) !== undefined;
  }

  /** Holds the whole table as it was at this revision. */
  isWholeAt(revision: number): boolean {
    return this.#replica.completeTo >= revision;
  }

  heardAgoMs(nodeId: string): number | undefined {
    return this.#detector.heardAgoMs(nodeId, this.#deps.clock.elapsed());
  }

  get hidden(): ReadonlySet<string> {
    return this.#hidden;
  }

  /** As a member that etcd does not reach. */
  #hear({ from, delta, digest }: GossipMessage): void {
    if (!delta) return;
    const hearing: Hearing = { from, at: 0, judge: () => 'use' };
    this.#tell(
      digest ? this.#replica.hearDelta(delta, digest, hearing) : this.#replica.hear(delta.records, hearing, () => true),
    );
  }

  #tell(changes: readonly RecordChange[]): void {
    for (const { key } of changes) this.#deps.onRecord(this, key);
  }

  /** As a member does it, without etcd's word. */
  #updateHidden(): void {
    const now = this.#deps.clock.elapsed();
    const hidden = new Set(this.#detector.suspects(now));
    const before = this.#hidden;
    if (hidden.size === before.size && [...hidden].every((id) => before.has(id))) return;
    this.#hidden = hidden;
    this.#deps.onHidden(this, hidden);
  }
}
