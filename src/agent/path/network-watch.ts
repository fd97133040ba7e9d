/**
 * Watches whether packets with a network's own number pass to the members that have containers on it (`core/path/network-probe.ts`):
 * of the pairs of a network and a member some in turn, each once a minute at most, and sooner where one got lost. Where the path itself
 * loses all nothing is looked at here: that is told by `path-watch.ts`, by whose packets the notices go.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { Found } from '../../core/finding.ts';
import { innerMtu } from '../../core/inner-mtu.ts';
import { networkSettings } from '../../core/network-options.ts';
import {
  judgeNetwork,
  LOST_AFTER,
  type LostWay,
  type NetworkOutcome,
  NetworkPath,
} from '../../core/path/network-path.ts';
import { networkPayloadOf } from '../../core/path/network-probe.ts';
import type { NetworkRecord, NodeRecord } from '../../core/records.ts';
import { type Backend, backendOf } from '../../core/underlay.ts';
import type { OpenNetworkSocket } from '../../ports/path.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import { Ears } from './ears.ts';
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

const TICK_MS = 1_000;
const PAIRS_PER_TICK = 4;
const DOUBTED_PER_TICK = 2;
const CALM_MS = 60_000;
const DOUBT_MS = 2_000;
const SMALL_MTU = 128;
/** Of an examination, at a time, and of all networks at most: of so many pairs one asks by network. */
const EXAMINED_AT_ONCE = 64;
const EXAMINED = 64;
const LARGE = 3;

interface Pair {
  readonly network: NetworkRecord;
  readonly node: NodeRecord;
  readonly backend: Backend;
}

interface Watched {
  readonly path: NetworkPath;
  readonly networkId: string;
  readonly nodeId: string;
  dueAt: number;
}

/** A network, and who is on it: found out again when either has changed, since all of them are gone through once a second. */
interface OnNetwork {
  readonly network: NetworkRecord;
  readonly moment: number;
  /** MAC of an endpoint, by node id. */
  readonly macs: ReadonlyMap<string, string>;
  readonly backend: Backend;
  readonly betweenContainers: boolean;
}

export class NetworkWatch {
  readonly #deps: NetworkWatchDeps;
  readonly #ears: Ears;
  readonly #questions: NetworkQuestions;
  readonly #watched = new Map<string, Watched>();
  readonly #on = new Map<string, OnNetwork>();
  /** What the log has told of. */
  #told = new Map<string, LostWay & { readonly network: string }>();

  constructor(deps: NetworkWatchDeps) {
    this.#deps = deps;
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
  letGo(namespaces: readonly string[]): void {
    this.#ears.letGo(namespaces);
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    try {
      while (!signal.aborted) {
        const pairs = this.#pairs();
        this.#ears.keep(new Set(pairs.map(({ network }) => network.vni)));
        for (const pair of this.#due(pairs)) void this.#look(pair);
        this.#tell();
        await clock.sleep(TICK_MS, signal);
      }
    } finally {
      this.#ears.close();
    }
  }

  /** Looks now at these networks, to these members. Returns of how many pairs it is known how they are. */
  async examine(networks: readonly NetworkRecord[], nodes: readonly NodeRecord[]): Promise<number> {
    const [ofNetworks, ofNodes] = [networks, nodes].map((all) => new Set(all.map(({ id }) => id)));
    const asked = this.#pairs().filter(({ network, node }) => ofNetworks!.has(network.id) && ofNodes!.has(node.id));
    const pairs = asked.filter((pair) => this.#skipped(pair) === undefined);
    const some = networks.length === 1 ? pairs : pairs.slice(0, EXAMINED);
    for (let at = 0; at < some.length; at += EXAMINED_AT_ONCE)
      await Promise.all(some.slice(at, at + EXAMINED_AT_ONCE).map((pair) => this.#examine(pair)));
    // Whoever asked for it may have mended it by the next tick.
    this.#tell();
    return pairs.filter((pair) => this.#watched.get(keyOf(pair))?.path.isKnown).length;
  }

  /** Why packets with a network's number are not looked at, to none of these; undefined: they are. */
  skipped(network: NetworkRecord, nodes: readonly NodeRecord[]): string | undefined {
    const { hasOnNetwork } = this.#deps;
    if (!networkSettings(network).betweenContainers) return 'its containers are not to reach each other';
    if (!hasOnNetwork(network.id)) return 'this host has no container on it';
    const ids = new Set(nodes.map(({ id }) => id));
    const pairs = this.#pairs().filter((pair) => pair.network.id === network.id && ids.has(pair.node.id));
    if (pairs.length === 0) return 'no other host has a container on it';
    const why = pairs.map((pair) => this.#skipped(pair));
    return why.includes(undefined) ? undefined : why[0];
  }

  findings(): Found[] {
    const byNetwork = Map.groupBy(this.#lost(), ({ networkId }) => networkId);
    return [...byNetwork].flatMap(([networkId, lost]) => {
      const network = this.#deps.view().network(networkId)!;
      const { backend } = this.#onNetwork(network);
      const port = this.#deps.self().dataPathPort;
      return judgeNetwork({ name: network.name, vni: network.vni, backend, port }, lost);
    });
  }

  #lost(): (LostWay & { readonly networkId: string; readonly key: string })[] {
    const { hasOnNetwork, view, ways } = this.#deps;
    return [...this.#watched].flatMap(([key, { networkId, nodeId, path }]) => {
      // Nearly all pass, and this is asked for every second.
      if (!path.isLost) return [];
      const [network, node] = [view().network(networkId), view().node(nodeId)];
      if (!network || !node || !hasOnNetwork(networkId)) return [];
      const { backend, macs } = this.#onNetwork(network);
      if (!macs.has(nodeId) || this.#skipped({ network, node, backend }) !== undefined) return [];
      const lost = path.lost(node.name);
      // What is too large for the path is told of the path.
      const { mtu = 0 } = ways[backend].status(node) ?? {};
      return lost && lost.bytes <= mtu ? [{ ...lost, networkId, key }] : [];
    });
  }

  /** Of networks that are here, and members that are on them. */
  #pairs(): Pair[] {
    const { hasOnNetwork, self, view } = this.#deps;
    const own = self().id;
    const pairs: Pair[] = [];
    for (const network of view().networks()) {
      if (!hasOnNetwork(network.id)) continue;
      const { backend, betweenContainers, macs } = this.#onNetwork(network);
      if (!betweenContainers) continue;
      for (const nodeId of macs.keys()) {
        const node = nodeId === own ? undefined : view().node(nodeId);
        if (node && !node.left) pairs.push({ network, node, backend });
      }
    }
    return pairs;
  }

  #onNetwork(network: NetworkRecord): OnNetwork {
    const view = this.#deps.view();
    const moment = view.moment(network.id);
    const known = this.#on.get(network.id);
    if (known?.moment === moment && known.network === network) return known;
    const macs = new Map<string, string>();
    for (const { mac, nodeId } of view.endpointsOn(network.id)) if (!macs.has(nodeId)) macs.set(nodeId, mac);
    const settings = networkSettings(network);
    const { betweenContainers } = settings;
    const on = { network, moment, macs, backend: backendOf(settings), betweenContainers };
    this.#on.set(network.id, on);
    return on;
  }

  /** Why it cannot be known of this pair, in words. */
  #skipped({ network, node, backend }: Pair): string | undefined {
    const { view, ways } = this.#deps;
    const way = ways[backend];
    const why = way.skipped(node);
    if (why !== undefined) return why;
    if (!view().live(node.id)?.answersNetworks) return 'its agent does not answer such packets';
    const { state = 'unknown' } = way.status(node) ?? {};
    if (state !== 'passes') return 'packets of the path itself do not all pass, or have not yet';
    return this.#ears.isOpen(network.vni) ? undefined : 'this host is not ready for it yet';
  }

  #due(pairs: readonly Pair[]): readonly Pair[] {
    const { clock, random } = this.#deps;
    const now = clock.elapsed();
    const known = new Set(pairs.map(keyOf));
    for (const key of this.#watched.keys()) if (!known.has(key)) this.#watched.delete(key);
    const networks = new Set(pairs.map(({ network }) => network.id));
    for (const id of this.#on.keys()) if (!networks.has(id)) this.#on.delete(id);
    const calmMs = Math.max(CALM_MS, (pairs.length / PAIRS_PER_TICK) * TICK_MS);
    const due = pairs.filter((pair) => this.#watch(pair).dueAt <= now && this.#skipped(pair) === undefined);
    // Who has waited longest: where many are lost for long these leave half of the time to the others.
    due.sort((a, b) => this.#watch(a).dueAt - this.#watch(b).dueAt);
    const doubted = due.filter((pair) => this.#watch(pair).path.isInDoubt).slice(0, DOUBTED_PER_TICK);
    const chosen = [...new Set([...doubted, ...due])].slice(0, PAIRS_PER_TICK);
    for (const pair of chosen) this.#watch(pair).dueAt = now + calmMs * (0.9 + 0.2 * random.next());
    return chosen;
  }

  #watch(pair: Pair): Watched {
    const key = keyOf(pair);
    let watched = this.#watched.get(key);
    if (!watched) {
      watched = { path: new NetworkPath(), networkId: pair.network.id, nodeId: pair.node.id, dueAt: 0 };
      this.#watched.set(key, watched);
    }
    return watched;
  }

  async #look(pair: Pair): Promise<void> {
    const watched = this.#watch(pair);
    await Promise.all([this.#ask(pair, 'small'), this.#ask(pair, 'large')]);
    if (watched.path.isInDoubt) watched.dueAt = this.#deps.clock.elapsed() + DOUBT_MS;
  }

  /** At once: what gets lost is known within the time of one. */
  async #examine(pair: Pair): Promise<void> {
    const small = Array.from({ length: LOST_AFTER }, () => this.#ask(pair, 'small'));
    await Promise.all([...small, ...Array.from({ length: LARGE }, () => this.#ask(pair, 'large'))]);
  }

  async #ask(pair: Pair, size: 'small' | 'large'): Promise<void> {
    const { clock, view } = this.#deps;
    const { network, node } = pair;
    const mtu = size === 'small' ? SMALL_MTU : innerMtu(view(), network);
    const outcome: NetworkOutcome = await this.#questions.ask(network.vni, node.id, networkPayloadOf(mtu));
    this.#watched.get(keyOf(pair))?.path.note(outcome, size, mtu, clock.now());
  }

  #networkOf(vni: number): NetworkRecord | undefined {
    for (const network of this.#deps.view().networks()) if (network.vni === vni) return network;
    return undefined;
  }

  #macOf(vni: number, nodeId: string): string | undefined {
    const network = this.#networkOf(vni);
    const node = this.#deps.view().node(nodeId);
    return network && node && !node.left ? this.#onNetwork(network).macs.get(nodeId) : undefined;
  }

  /** What one of the two has seen the other one should know of, too. */
  #lookSoon(vni: number, nodeId: string): void {
    const network = this.#networkOf(vni);
    const watched = network && this.#watched.get(keyOf({ network, node: { id: nodeId } }));
    if (watched && !watched.path.isInDoubt) watched.dueAt = 0;
  }

  #sendBeside(vni: number, nodeId: string, data: Uint8Array): void {
    const network = this.#networkOf(vni);
    const node = this.#deps.view().node(nodeId);
    if (network && node) this.#deps.ways[this.#onNetwork(network).backend].sendBeside(node, data);
  }

  /** What is found is logged once, and once more when it has ended. */
  #tell(): void {
    const { logger, view } = this.#deps;
    const nameOf = (networkId: string) => view().network(networkId)?.name ?? networkId;
    const now = new Map(this.#lost().map((each) => [each.key, { ...each, network: nameOf(each.networkId) }]));
    for (const [key, { network, peer: member, isBack }] of now) {
      if (this.#told.has(key)) continue;
      const [problem] = this.findings().filter(({ subject }) => subject === network);
      const event = { event: 'path-impaired', member, network, code: 'network-path-lost', isBack } as const;
      logger.warn({ ...event, problem: problem?.text }, "packets with a network's number get lost to a member");
    }
    for (const [key, { network, peer: member }] of this.#told) {
      if (now.has(key)) continue;
      const watched = this.#watched.get(key);
      // Where there is no container any more, here or there, nothing gets there either.
      if (!watched) continue;
      // Where nothing is looked at it is not known to have ended.
      if (watched.path.isLost) now.set(key, this.#told.get(key) as never);
      else logger.info({ event: 'path-restored', member, network }, "packets with a network's number get there again");
    }
    this.#told = now;
  }
}

function keyOf({
  network,
  node,
}: {
  readonly network: Pick<NetworkRecord, 'id'>;
  readonly node: Pick<NodeRecord, 'id'>;
}) {
  return `${network.id} ${node.id}`;
}
