/**
 * Watches whether packets with a network's own number pass to the members that have containers on it (`core/path/network-probe.ts`):
 * of the pairs of a network and a member some in turn, each once a minute at most, and sooner where one got lost. Where the path itself
 * loses all nothing is looked at here: that is told by `path-watch.ts`, by whose packets the notices go.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { Found } from '../../core/finding.ts';
import { innerMtu } from '../../core/inner-mtu.ts';
import { networkSettings } from '../../core/network-options.ts';
import { judgeNetwork, LOST_AFTER, type LostWay } from '../../core/path/network-path.ts';
import { networkPayloadOf } from '../../core/path/network-probe.ts';
import type { NetworkRecord, NodeRecord } from '../../core/records.ts';
import type { Backend } from '../../core/underlay.ts';
import type { OpenNetworkSocket } from '../../ports/path.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import { Ears } from './ears.ts';
import { type Ends, NetworkPairs, type Pair } from './network-pairs.ts';
import { NetworkQuestions } from './network-questions.ts';
import type { PathWatch } from './path-watch.ts';

/** All that see whether packets pass to members. */
export interface PathWatches {
  readonly paths: PathWatch;
  readonly encryptedPaths: PathWatch;
  readonly networkPaths: NetworkWatch;
  /** Looks now at what other firewalls of this host let pass, which is looked at every few seconds. */
  lookAtFirewalls(): Promise<void>;
}

export type Way = Pick<PathWatch, 'status' | 'skipped' | 'sendBeside'>;

export interface NetworkWatchDeps {
  readonly view: () => Pick<ClusterView, 'nodes' | 'node' | 'live' | 'network' | 'networks' | 'endpointsOn' | 'moment'>;
  readonly self: () => NodeRecord;
  /** Networks on which this host has an endpoint. */
  readonly hasOnNetwork: (networkId: string) => boolean;
  readonly ways: Readonly<Record<Backend, Way>>;
  readonly open: OpenNetworkSocket;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
}

const TICK_MS = 2_000;
const PAIRS_PER_TICK = 8;
const DOUBTED_PER_TICK = 4;
const CALM_MS = 60_000;
const DOUBT_MS = 2_000;
/** Of those that are due at a tick, and when one of which nothing can be known now comes again. */
const TRIED_PER_TICK = 128;
const SKIPPED_MS = 2_000;
const SMALL_MTU = 128;
/** Of an examination, at a time, and of all networks at most: of so many pairs one asks by network. */
const EXAMINED_AT_ONCE = 64;
const EXAMINED = 64;
const LARGE = 3;

interface Lost extends LostWay {
  readonly pair: Pair;
}

export class NetworkWatch {
  readonly #deps: NetworkWatchDeps;
  readonly #ears: Ears;
  readonly #questions: NetworkQuestions;
  readonly #pairs: NetworkPairs;
  /** What the log has told of. */
  #told = new Map<string, Lost & { readonly network: string }>();

  constructor(deps: NetworkWatchDeps) {
    this.#deps = deps;
    this.#pairs = new NetworkPairs(deps);
    this.#ears = new Ears({ ...deps, message: (vni, data) => this.#questions.heard(vni, data) });
    this.#questions = new NetworkQuestions({
      ...{ clock: deps.clock, random: deps.random, self: deps.self, ears: this.#ears },
      macOf: (vni, nodeId) => this.#macOf(vni, nodeId),
      sendBeside: (vni, nodeId, data) => this.#sendBeside(vni, nodeId, data),
      onNotice: (vni, nodeId) => this.#lookSoon(vni, nodeId),
    });
  }

  /** What came in by the path without a network from that member. */
  takeBeside(nodeId: string, data: Uint8Array): void {
    this.#questions.takeBeside(nodeId, data);
  }

  /** These namespaces are gone or about to be: our sockets would keep them alive, and the VXLAN device in there. */
  letGo(namespaces: readonly string[]): Promise<void> {
    return this.#ears.letGo(namespaces);
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    try {
      while (!signal.aborted) {
        this.#ears.keep(this.#pairs.sync());
        for (const pair of this.#due()) void this.#look(pair);
        this.#tell();
        await clock.sleep(TICK_MS, signal, 'loosely');
      }
    } finally {
      await this.#ears.close();
    }
  }

  /** Looks now at these networks, to these members, and tells the log what that finds. Returns of how many pairs it is known how they are. */
  async examine(networks: readonly NetworkRecord[], nodes: readonly NodeRecord[]): Promise<number> {
    this.#pairs.sync();
    const ids = new Set(nodes.map(({ id }) => id));
    const asked = networks.flatMap(({ id }) => [...this.#pairs.of(id)]).filter(({ nodeId }) => ids.has(nodeId));
    const pairs = asked.filter((pair) => this.#isWatched(pair));
    const some = networks.length === 1 ? pairs : pairs.slice(0, EXAMINED);
    for (let at = 0; at < some.length; at += EXAMINED_AT_ONCE)
      await Promise.all(some.slice(at, at + EXAMINED_AT_ONCE).map((pair) => this.#examine(pair)));
    // Whoever asked for it may have mended it by the next tick.
    this.#tell();
    return pairs.filter(({ path }) => path.isKnown).length;
  }

  /** Why packets with a network's number are not looked at, to none of these; undefined: they are. */
  skipped(network: NetworkRecord, nodes: readonly NodeRecord[]): string | undefined {
    const { hasOnNetwork } = this.#deps;
    if (!networkSettings(network).betweenContainers) return 'its containers are not to reach each other';
    if (!hasOnNetwork(network.id)) return 'this host has no container on it';
    this.#pairs.sync();
    const ids = new Set(nodes.map(({ id }) => id));
    const ends = [...this.#pairs.of(network.id)].map((pair) => this.#pairs.ends(pair));
    const asked = ends.filter((each) => each !== undefined && ids.has(each.node.id)) as Ends[];
    if (asked.length === 0) return 'no other host has a container on it';
    const why = asked.map((each) => this.#skipped(each));
    return why.includes(undefined) ? undefined : why[0];
  }

  findings(): Found[] {
    const byNetwork = Map.groupBy(this.#lost(), ({ pair }) => pair.networkId);
    return [...byNetwork].flatMap(([networkId, lost]) => {
      const network = this.#deps.view().network(networkId)!;
      const { backend } = this.#pairs.on(network);
      const port = this.#deps.self().dataPathPort;
      return judgeNetwork({ name: network.name, vni: network.vni, backend, port }, lost);
    });
  }

  #lost(): Lost[] {
    const { ways } = this.#deps;
    return Array.from(this.#pairs.lost).flatMap((pair) => {
      const ends = this.#pairs.ends(pair);
      if (!ends || this.#skipped(ends) !== undefined) return [];
      const lost = pair.path.lost(ends.node.name);
      // What is too large for the path is told of the path.
      const { mtu = 0 } = ways[ends.backend].status(ends.node) ?? {};
      return lost && lost.bytes <= mtu ? [{ ...lost, pair }] : [];
    });
  }

  /** Why it cannot be known of these, in words. */
  #skipped({ network, node, backend }: Ends): string | undefined {
    const { view, ways } = this.#deps;
    const way = ways[backend];
    const why = way.skipped(node);
    if (why !== undefined) return why;
    if (!view().live(node.id)?.answersNetworks) return 'its agent does not answer such packets';
    const { state = 'unknown' } = way.status(node) ?? {};
    if (state !== 'passes') return 'packets of the path itself do not all pass, or have not yet';
    return this.#ears.isOpen(network.vni) ? undefined : 'this host is not ready for it yet';
  }

  #isWatched(pair: Pair): boolean {
    const ends = this.#pairs.ends(pair);
    return ends !== undefined && this.#skipped(ends) === undefined;
  }

  #due(): readonly Pair[] {
    const { clock, random } = this.#deps;
    const now = clock.elapsed();
    const chosen: Pair[] = [];
    const choose = (which: 'doubted' | 'calm', most: number) => {
      for (let tried = 0; tried < TRIED_PER_TICK && chosen.length < most; tried += 1) {
        const pair = this.#pairs.take(which, now);
        if (!pair) return;
        if (this.#isWatched(pair)) chosen.push(pair);
        else this.#pairs.schedule(pair, now + SKIPPED_MS);
      }
    };
    // Where many are lost for long these leave half of the time to the others.
    choose('doubted', DOUBTED_PER_TICK);
    choose('calm', PAIRS_PER_TICK);
    choose('doubted', PAIRS_PER_TICK);
    const calmMs = Math.max(CALM_MS, (this.#pairs.count / PAIRS_PER_TICK) * TICK_MS);
    for (const pair of chosen) this.#pairs.schedule(pair, now + calmMs * (0.9 + 0.2 * random.next()));
    return chosen;
  }

  async #look(pair: Pair): Promise<void> {
    await Promise.all([this.#ask(pair, 'small'), this.#ask(pair, 'large')]);
    if (pair.path.isInDoubt) this.#pairs.schedule(pair, this.#deps.clock.elapsed() + DOUBT_MS);
  }

  /** At once: what gets lost is known within the time of one. */
  async #examine(pair: Pair): Promise<void> {
    const small = Array.from({ length: LOST_AFTER }, () => this.#ask(pair, 'small'));
    await Promise.all([...small, ...Array.from({ length: LARGE }, () => this.#ask(pair, 'large'))]);
  }

  async #ask(pair: Pair, size: 'small' | 'large'): Promise<void> {
    const { clock, view } = this.#deps;
    const network = view().network(pair.networkId);
    if (!network) return;
    const mtu = size === 'small' ? SMALL_MTU : innerMtu(view(), network);
    const outcome = await this.#questions.ask(network.vni, pair.nodeId, networkPayloadOf(mtu));
    this.#pairs.note(pair, outcome, size, mtu, clock.now());
  }

  #macOf(vni: number, nodeId: string): string | undefined {
    const network = this.#pairs.networkOf(vni);
    const node = this.#deps.view().node(nodeId);
    return network && node && !node.left ? this.#pairs.on(network).macs.get(nodeId) : undefined;
  }

  /** What one of the two has seen the other one should know of, too. */
  #lookSoon(vni: number, nodeId: string): void {
    const network = this.#pairs.networkOf(vni);
    const pair = network && this.#pairs.pair(network.id, nodeId);
    if (pair && !pair.path.isInDoubt) this.#pairs.schedule(pair, 0);
  }

  #sendBeside(vni: number, nodeId: string, data: Uint8Array): void {
    const network = this.#pairs.networkOf(vni);
    const node = this.#deps.view().node(nodeId);
    if (network && node) this.#deps.ways[this.#pairs.on(network).backend].sendBeside(node, data);
  }

  /** What is found is logged once, and once more when it has ended. */
  #tell(): void {
    const { logger, view } = this.#deps;
    const nameOf = ({ networkId }: Pair) => view().network(networkId)?.name ?? networkId;
    const now = new Map(this.#lost().map((each) => [each.pair.key, { ...each, network: nameOf(each.pair) }]));
    const problems = now.size === 0 ? [] : this.findings();
    for (const [key, { network, peer: member, isBack }] of now) {
      if (this.#told.has(key)) continue;
      const problem = problems.find(({ subject }) => subject === network)?.text;
      const event = { event: 'path-impaired', member, network, code: 'network-path-lost', isBack } as const;
      logger.warn({ ...event, problem }, "packets with a network's number get lost to a member");
    }
    for (const [key, told] of this.#told) {
      if (now.has(key)) continue;
      const { network, pair, peer: member } = told;
      const current = this.#pairs.pair(pair.networkId, pair.nodeId);
      // Where there is no container any more, here or there, nothing gets there either.
      if (!current) continue;
      // Where nothing is looked at it is not known to have ended.
      if (current.path.isLost) now.set(key, told);
      else logger.info({ event: 'path-restored', member, network }, "packets with a network's number get there again");
    }
    this.#told = now;
  }
}
