/** So many gossiping nodes in one process, on a virtual clock; every choice comes from the seed. */
import { encodedEntries } from '../../src/agent/endpoints/own-holdings.ts';
import type { GossipRecord } from '../../src/core/gossip/message.ts';
import { type EndpointRecord, keys, type NodeRecord } from '../../src/core/records.ts';
import type { Random } from '../../src/ports/runtime.ts';
import { seededRandom } from '../sim/seeded-random.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { GossipNode } from './gossip-node.ts';
import { LeanNetwork } from './lean-network.ts';

/** Of an etcd that has been written to for a while; bytes of the digests depend on it. */
const FIRST_REVISION = 1_000_000;

export interface GossipClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly latencyMs: readonly [least: number, most: number];
  /** 0 to 1. */
  readonly loss: number;
}

/** An attach: the time it was written, and when each other node came to know it. */
export interface Attach {
  readonly key: string;
  readonly revision: number;
  readonly at: number;
  readonly seenAfterMs: number[];
}

export interface HiddenChange {
  readonly observer: GossipNode;
  readonly hidden: ReadonlySet<string>;
}

export class GossipCluster {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly network: LeanNetwork;
  readonly nodes: GossipNode[];
  /** Told of every change of what a node hides. */
  onHidden: (change: HiddenChange) => void = () => {};
  readonly #records: NodeRecord[];
  readonly #attaches = new Map<string, Attach>();
  readonly #history: GossipRecord[] = [];
  readonly #networkId: string;
  #revision = FIRST_REVISION;

  constructor({ seed, nodes, latencyMs, loss }: GossipClusterOptions) {
    const { clock } = this;
    this.random = seededRandom(seed);
    this.network = new LeanNetwork({ clock, random: this.random }, { latencyMs, loss });
    this.#networkId = this.random.hex(32);
    this.#records = Array.from({ length: nodes }, (_, i) => this.#nodeRecord(i + 1));
    this.nodes = this.#records.map(
      (record) =>
        new GossipNode(
          {
            network: this.network,
            clock,
            random: this.random,
            members: () => this.#records,
            onRecord: (_node, key) => this.#seen(key),
            onHidden: (observer, hidden) => this.onHidden({ observer, hidden }),
          },
          record,
        ),
    );
  }

  get revision(): number {
    return this.#revision;
  }

  start(): void {
    for (const node of this.nodes) void node.start(this.#revision);
  }

  stop(): void {
    for (const node of this.nodes) node.stop();
  }

  pick<T>(among: readonly T[]): T {
    return among[Math.floor(this.random.next() * among.length)]!;
  }

  /** A container is attached on this node: its record is in etcd, and is pushed. */
  attach(node: GossipNode): Attach {
    const revision = ++this.#revision;
    const record = this.#endpointRecord(node.record, revision - FIRST_REVISION);
    const key = keys.endpoint(record);
    const attach: Attach = { key, revision, at: this.clock.now(), seenAfterMs: [] };
    for (const entry of encodedEntries(record)) this.#history.push({ ...entry, revision });
    void node.write(this.#history);
    // The writer's own copy is no convergence.
    this.#attaches.set(key, attach);
    return attach;
  }

  #seen(key: string): void {
    const attach = this.#attaches.get(key);
    attach?.seenAfterMs.push(this.clock.now() - attach.at);
  }

  #nodeRecord(number: number): NodeRecord {
    const address = addressOf(number);
    return {
      id: this.random.hex(16),
      name: `host-${number}`,
      advertiseAddress: address,
      gossipPort: 7946,
      joinPort: 2377,
      vtep: address,
      dataPathPort: 4789,
      keyFingerprint: this.random.hex(32),
      underlayMtu: 1_500,
      hostRoutes: ['192.168.0.0/16'],
      labels: {},
      joinedAt: this.clock.now(),
      left: false,
    };
  }

  #endpointRecord(node: NodeRecord, number: number): EndpointRecord {
    return {
      id: this.random.hex(32),
      networkId: this.#networkId,
      nodeId: node.id,
      addresses: [{ subnet: '10.0.0.0/16', ip: `10.0.${number >> 8}.${number & 255}` }],
      mac: `02:42:0a:00:${hexByte(number >> 8)}:${hexByte(number)}`,
      name: `container-${number}`,
      aliases: [],
      createdAt: this.clock.now(),
    };
  }
}

function addressOf(number: number): string {
  return `192.168.${number >> 8}.${number & 255}`;
}

function hexByte(value: number): string {
  return (value & 255).toString(16).padStart(2, '0');
}
