/**
 * What is measured on one cluster of one size, from one seed: idle traffic, attaches, a partition that heals, starved
 * hosts, a crash; in this order, one after the other, in virtual time.
 */
import { type Attach, GossipCluster } from './gossip-cluster.ts';
import type { GossipNode } from './gossip-node.ts';

export interface ExperimentOptions {
  readonly seed: number;
  readonly nodes: number;
  /** 0 to 1. */
  readonly loss: number;
  /** Share of the hosts that are starved of CPU, 0 to 1. */
  readonly starved: number;
}

export interface Measurements {
  /** From the write to every single other node's view. */
  readonly convergenceMs: number[];
  /** The last node of each attach. */
  readonly lastNodeMs: number[];
  /** Attaches that did not get everywhere. */
  readonly missed: number;
  /** Per node: bytes and messages sent per second while nothing changes; bytes and messages more per attach. */
  readonly idle: { readonly bytes: number; readonly messages: number };
  readonly perAttach: { readonly bytes: number; readonly messages: number };
  /** From the end of the cut until all hold the same records, and until all names are shown again. */
  readonly healedMs: number;
  readonly shownMs: number;
  /** Times that a node began to hide one that runs, and is not cut off: while nobody, while some are starved. */
  readonly falseSuspicions: { readonly calm: number; readonly starved: number; readonly starvedOfHealthy: number };
  /** From the crash until each other node hides the host's names. */
  readonly hiddenMs: number[];
  readonly hiddenLastMs: number;
}

export const LATENCY_MS = [0.5, 2] as const;
export const STARVATION = { runMs: 50, stallMs: [1_000, 4_000] } as const;
export const ATTACHES = 5;
const WARM_UP_MS = 10_000;
const IDLE_MS = 5_000;
const BETWEEN_ATTACHES_MS = 1_000;
const PARTITION_ATTACHES = 10;
const PARTITION_MS = 15_000;
const STARVED_MS = 20_000;
const RECOVERY_MS = 5_000;
const LIMIT_MS = 60_000;
const STEP_MS = 5;

export async function measure(options: ExperimentOptions): Promise<Measurements> {
  const cluster = new GossipCluster({ ...options, latencyMs: LATENCY_MS });
  const suspicions = new SuspicionCount(cluster);
  cluster.start();
  await cluster.clock.advance(WARM_UP_MS);

  const idle = await measureIdle(cluster);
  const attaches = await measureAttaches(cluster);
  const calm = suspicions.take();
  const { healedMs, shownMs } = await measurePartition(cluster);
  // What is left of the partition is not to be counted as the starved hosts' doing.
  await cluster.clock.advance(RECOVERY_MS);
  suspicions.take();
  const starvedHosts = cluster.nodes.slice(0, Math.ceil(options.starved * options.nodes));
  for (const { cpu } of starvedHosts) cpu.starve(STARVATION);
  await cluster.clock.advance(STARVED_MS);
  const starved = suspicions.take();
  for (const { cpu } of starvedHosts) cpu.recover();
  await cluster.clock.advance(RECOVERY_MS);
  suspicions.take();
  const hiddenMs = await measureCrash(cluster);
  cluster.stop();
  return {
    ...attaches,
    idle,
    healedMs,
    shownMs,
    falseSuspicions: { calm: calm.all, starved: starved.all, starvedOfHealthy: starved.ofHealthy },
    hiddenMs,
    hiddenLastMs: Math.max(...hiddenMs),
  };
}

/** Counts how often a node begins to hide another one that should not be. */
class SuspicionCount {
  #all = 0;
  #ofHealthy = 0;
  readonly #before = new Map<GossipNode, ReadonlySet<string>>();

  constructor(cluster: GossipCluster) {
    const byId = new Map(cluster.nodes.map((node) => [node.record.id, node]));
    cluster.onHidden = ({ observer, hidden }) => {
      const before = this.#before.get(observer);
      for (const id of hidden) {
        if (before?.has(id)) continue;
        this.#all++;
        if (!byId.get(id)!.cpu.starved) this.#ofHealthy++;
      }
      this.#before.set(observer, hidden);
    };
  }

  /** The count since it was last taken. */
  take(): { readonly all: number; readonly ofHealthy: number } {
    const taken = { all: this.#all, ofHealthy: this.#ofHealthy };
    this.#all = 0;
    this.#ofHealthy = 0;
    return taken;
  }
}

async function measureIdle({ clock, network, nodes }: GossipCluster): Promise<Measurements['idle']> {
  const before = network.traffic;
  await clock.advance(IDLE_MS);
  const after = network.traffic;
  const share = nodes.length * (IDLE_MS / 1_000);
  return { bytes: (after.bytes - before.bytes) / share, messages: (after.messages - before.messages) / share };
}

async function measureAttaches(
  cluster: GossipCluster,
): Promise<Pick<Measurements, 'convergenceMs' | 'lastNodeMs' | 'missed' | 'perAttach'>> {
  const { clock, network, nodes } = cluster;
  const before = network.traffic;
  const attaches: Attach[] = [];
  for (let i = 0; i < ATTACHES; i++) {
    attaches.push(cluster.attach(cluster.pick(nodes)));
    await clock.advance(BETWEEN_ATTACHES_MS);
  }
  const isEverywhere = ({ seenAfterMs }: Attach) => seenAfterMs.length === nodes.length - 1;
  await reached(cluster, () => attaches.every(isEverywhere));
  const after = network.traffic;
  const share = nodes.length * ATTACHES;
  return {
    convergenceMs: attaches.flatMap(({ seenAfterMs }) => seenAfterMs),
    lastNodeMs: attaches.map(({ seenAfterMs }) => Math.max(...seenAfterMs)),
    missed: attaches.filter((attach) => !isEverywhere(attach)).length,
    perAttach: {
      bytes: (after.newsBytes - before.newsBytes) / share,
      messages: (after.newsMessages - before.newsMessages) / share,
    },
  };
}

/** One half is cut off, from etcd too, until each half hides the other; the first goes on writing meanwhile. */
async function measurePartition(cluster: GossipCluster): Promise<{ healedMs: number; shownMs: number }> {
  const { clock, network, nodes } = cluster;
  const middle = Math.ceil(nodes.length / 2);
  network.partition(nodes.slice(middle).map(({ record }) => record.id));
  for (let i = 0; i < PARTITION_ATTACHES; i++) {
    cluster.attach(cluster.pick(nodes.slice(0, middle)));
    await clock.advance(PARTITION_MS / PARTITION_ATTACHES);
  }
  network.heal();
  const healedAt = clock.now();
  let healedMs: number | undefined;
  const shownAt = await reached(cluster, () => {
    if (healedMs === undefined && nodes.every((node) => node.isWholeAt(cluster.revision))) {
      healedMs = clock.now() - healedAt;
    }
    return healedMs !== undefined && nodes.every(({ hidden }) => hidden.size === 0);
  });
  return { healedMs: healedMs ?? Number.POSITIVE_INFINITY, shownMs: shownAt - healedAt };
}

async function measureCrash(cluster: GossipCluster): Promise<number[]> {
  const { clock, network, nodes } = cluster;
  // Within its interval, wherever that is.
  await clock.advance(1_000 * cluster.random.next());
  const victim = cluster.pick(nodes);
  network.crash(victim.record.id);
  victim.stop();
  const crashedAt = clock.now();
  const hiddenMs = new Map<GossipNode, number>();
  cluster.onHidden = ({ observer, hidden }) => {
    if (hidden.has(victim.record.id) && !hiddenMs.has(observer)) hiddenMs.set(observer, clock.now() - crashedAt);
  };
  await reached(cluster, () => hiddenMs.size === nodes.length - 1);
  return nodes.filter((node) => node !== victim).map((node) => hiddenMs.get(node) ?? Number.POSITIVE_INFINITY);
}

/** Lets time pass until the condition holds, and tells when; infinite when it does not within the limit. */
async function reached({ clock }: GossipCluster, condition: () => boolean): Promise<number> {
  const end = clock.now() + LIMIT_MS;
  while (!condition()) {
    if (clock.now() >= end) return Number.POSITIVE_INFINITY;
    await clock.advance(STEP_MS);
  }
  return clock.now();
}
