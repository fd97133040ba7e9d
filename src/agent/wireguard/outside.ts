/**
 * What it takes that members behind NAT are members like others: the way by which agents reach each other inside of the tunnels;
 * that they hear where they are seen; how two of them get through to each other, and by whom else.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { asOverlaydError } from '../../core/errors.ts';
import type { Sight } from '../../core/gossip/message.ts';
import { formatHostPort } from '../../core/host-port.ts';
import type { NodeRecord, WireguardKey, WireguardOffer } from '../../core/records.ts';
import { controlWayOps, wantedControlWay } from '../../core/wireguard/control-way.ts';
import { NatWays } from '../../core/wireguard/nat-ways.ts';
import { hasSession } from '../../core/wireguard/peer-memory.ts';
import { type Ends, relayedWay } from '../../core/wireguard/relaying.ts';
import { Sights } from '../../core/wireguard/sights.ts';
import type { SeenWireguard } from '../../core/wireguard/state.ts';
import type { TunnelStatus } from '../../core/wireguard/tunnel-status.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ControlWays, OpenRelay, Wireguard } from '../../ports/wireguard.ts';
import { DeafRelays } from './deaf-relays.ts';
import { PastRelays, type PastRelaysDeps, type RelayedPeer } from './past-relays.ts';
import { Relays } from './relays.ts';

export interface OutsideDeps {
  /** Absent: this host makes no such way. */
  readonly ways?: ControlWays | undefined;
  /** Absent: this host relays nothing. */
  readonly openRelay?: OpenRelay | undefined;
  readonly view: ClusterView;
  /** Whether a member is heard. */
  readonly answers: (nodeId: string) => boolean;
  /** What is offered may be something else now. */
  readonly onOffer: () => void;
  /** The devices are to be looked at. */
  readonly onNews: () => void;
  readonly propose: PastRelaysDeps['propose'];
  readonly wireguard: Pick<Wireguard, 'apply' | 'observe'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface OutsideOptions {
  readonly selfId: string;
  readonly basePort: number;
  /** TCP, of the bundled etcd. */
  readonly storePort?: number | undefined;
}

interface KeepContext {
  readonly before: readonly TunnelStatus[];
  readonly mayRemove: () => boolean;
  readonly signal: AbortSignal;
}

export class Outside {
  readonly #deps: OutsideDeps;
  readonly #options: OutsideOptions;
  readonly #sights = new Sights();
  readonly #natWays = new NatWays();
  readonly #relays: Relays;
  readonly #pastRelays: PastRelays;
  readonly #deafRelays: DeafRelays;
  #seen: SeenWireguard = { devices: [], sendBy: undefined };
  #tunnels: ReadonlyMap<string, TunnelStatus> = new Map();
  #relayed = '';

  constructor(deps: OutsideDeps, options: OutsideOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#relays = new Relays({ ...deps, hostOf: (nodeId) => this.#hostOf(nodeId) }, options);
    this.#deafRelays = new DeafRelays(deps);
    this.#pastRelays = new PastRelays({
      ...{ ...deps, onEnd: deps.onNews },
      peerOf: (nodeId) => this.#relayedPeer(nodeId),
      isRelay: (endpoint) => this.#isRelay(endpoint),
    });
  }

  /** Whether packets pass between this host and the member, as far as was looked. */
  passes(nodeId: string): boolean {
    const tunnel = this.#tunnels.get(nodeId);
    if (!tunnel || tunnel.problem !== undefined) return false;
    return hasSession(tunnel, { nowMs: this.#deps.clock.now(), elapsedMs: this.#deps.clock.elapsed() });
  }

  /** Whether ways hang on what routers remember, or somebody behind NAT is not seen yet: looks are more frequent then. */
  get isTrying(): boolean {
    const hidden = this.#hidden();
    if (this.#self?.nat) return hidden.length > 0;
    return hidden.some(({ id, wireguard }) => wireguard?.unreached !== undefined || !this.sightOf(id));
  }

  // ------------------------------------------------------------ where members are seen

  /** Of a member behind NAT, by this host. */
  sightOf(nodeId: string): Sight | undefined {
    const node = this.#deps.view.node(nodeId);
    if (!node?.nat || this.#self?.nat) return undefined;
    const { devices, sendBy } = this.#seen;
    const peers = devices.find(({ name }) => name === sendBy)?.peers ?? [];
    const keys = (node.wireguard?.keys ?? []).flatMap(({ publicKey }) => {
      const endpoint = peers.find((peer) => peer.publicKey === publicKey)?.endpoint;
      return endpoint === undefined ? [] : [{ publicKey, endpoint }];
    });
    return keys.length === 0 ? undefined : { keys };
  }

  /** Where the member sees this host. */
  noteSight(from: string, sight: Sight): void {
    if (this.#self?.nat && this.#sights.note(from, sight, this.#deps.clock.elapsed())) this.#deps.onOffer();
  }

  /** The offer with what is known of the ways to and by this host. */
  amend({ unreached: _, avoided: __, relays: ___, ...offer }: WireguardOffer): WireguardOffer {
    const { clock, view } = this.#deps;
    const relays = this.#relays.published();
    if (!this.#self?.nat) return { ...offer, ...(relays.length > 0 && { relays }) };
    const nodes = [...view.nodes()];
    const keys = offer.keys.map((key): WireguardKey => {
      const seenAt = this.#sights.seenAt(key.publicKey, nodes, clock.elapsed()) ?? key.seenAt;
      return { ...key, ...(seenAt !== undefined && { seenAt }) };
    });
    const unreached = this.#hidden()
      .filter(({ id }) => this.#natWays.isRelayed(id))
      .flatMap(({ wireguard }) => wireguard!.keys.map(({ publicKey }) => publicKey));
    const avoided = this.#deafRelays.published;
    return {
      ...{ ...offer, keys, ...(unreached.length > 0 && { unreached: unreached.sort() }) },
      ...(avoided.length > 0 && { avoided }),
    };
  }

  /** Where this host, which is behind NAT, sends what is for a key of another one that is. */
  endpointTo(ownKey: string, node: NodeRecord, { publicKey, seenAt }: WireguardKey): string | undefined {
    if (this.#natWays.isFound(node.id) && this.#isFirst(ownKey, node, publicKey)) return undefined;
    const relayed = this.#natWays.isRelayed(node.id) ? this.#relayOf(node, ownKey, publicKey) : undefined;
    return relayed?.endpoint ?? seenAt;
  }

  /** Whether the way between both is looked at by these keys. Others, of an exchange, have a way of their own to find. */
  #isFirst(ownKey: string, node: NodeRecord, publicKey: string): boolean {
    const [[own], [theirs]] = [this.#self?.wireguard?.keys ?? [], node.wireguard?.keys ?? []];
    return own?.publicKey === ownKey && theirs?.publicKey === publicKey;
  }

  /** Name of the member that relays between this host and the member, where one does. */
  relayedBy(nodeId: string): string | undefined {
    const [node, [own]] = [this.#deps.view.node(nodeId), this.#self?.wireguard?.keys ?? []];
    const [key] = node?.wireguard?.keys ?? [];
    if (!node || !own || !key || !this.#natWays.isRelayed(nodeId)) return undefined;
    const way = this.#relayOf(node, own.publicKey, key.publicKey);
    return way && this.#tunnels.get(nodeId)?.endpoint === way.endpoint ? way.relay.name : undefined;
  }

  #relayOf(node: NodeRecord, ownKey: string, publicKey: string) {
    const { answers } = this.#deps;
    const ends = [
      { nodeId: this.#options.selfId, publicKey: ownKey },
      { nodeId: node.id, publicKey },
    ] as const;
    return relayedWay(ends, this.#nodes(), answers);
  }

  /** As they are listed, but for what this host has found since. */
  #nodes(): NodeRecord[] {
    const avoided = this.#deafRelays.published;
    return [...this.#deps.view.nodes()].map((node) =>
      node.id === this.#options.selfId && node.wireguard
        ? { ...node, wireguard: { ...node.wireguard, avoided } }
        : node,
    );
  }

  // ------------------------------------------------------------ after each look

  /** `before`: ahead of the changes that were made. Returns what failed, in words. */
  async keep(
    seen: SeenWireguard,
    tunnels: readonly TunnelStatus[],
    { before, mayRemove, signal }: KeepContext,
  ): Promise<readonly string[]> {
    this.#seen = seen;
    this.#tunnels = new Map(tunnels.map((tunnel) => [tunnel.nodeId, tunnel]));
    // One that was silent may have got another endpoint: the way ended all the same.
    const silent = new Set(before.filter(({ problem }) => problem !== undefined).map(({ nodeId }) => nodeId));
    if (this.#self?.nat) this.#noteWays(silent);
    const problems = await this.#relays.keep();
    try {
      await this.#keepWay(mayRemove, signal);
      return problems;
    } catch (error) {
      return [...problems, asOverlaydError(error).message];
    }
  }

  /** A member that is behind NAT asks this host to send past their relay; whether it does. */
  agree(from: string, ms: number): boolean {
    return this.#pastRelays.agree(from, ms);
  }

  #relayedPeer(nodeId: string): RelayedPeer | undefined {
    const [node, device] = [this.#deps.view.node(nodeId), this.#seen.devices.find(isNamed(this.#seen.sendBy))];
    const [key] = node?.wireguard?.keys ?? [];
    const peer = device?.peers.find(({ publicKey }) => publicKey === key?.publicKey);
    if (!node || !device?.publicKey || !peer || key?.seenAt === undefined) return;
    const way = this.#natWays.isRelayed(nodeId) && this.#relayOf(node, device.publicKey, peer.publicKey);
    return way ? { device: device.name, peer, direct: key.seenAt, relay: way.endpoint } : undefined;
  }

  /** Of a relay nothing is left when the agent ends. */
  close(): void {
    this.#relays.close();
  }

  #noteWays(silent: ReadonlySet<string>): void {
    const { clock, logger, onOffer } = this.#deps;
    const hidden = this.#hidden();
    const own = this.#self?.wireguard?.keys[0]?.seenAt;
    const attempts = hidden.map(({ id: nodeId, wireguard }) => ({
      ...{ nodeId, own, theirs: wireguard?.keys[0]?.seenAt, isUp: this.passes(nodeId) && !silent.has(nodeId) },
      isByRelay: this.#pastRelays.isUnderWay(nodeId) || this.#isRelay(this.#tunnels.get(nodeId)?.endpoint),
    }));
    this.#natWays.note(attempts, clock.elapsed());
    this.#noteDeafRelays(hidden);
    // The first of both asks the other.
    for (const { id } of hidden)
      if (this.#options.selfId < id && this.#natWays.takeTurn(id, clock.elapsed())) void this.#pastRelays.begin(id);
    const relayed = hidden.filter(({ id }) => this.#natWays.isRelayed(id)).map(({ name }) => name);
    if (relayed.join() === this.#relayed) return;
    this.#relayed = relayed.join();
    logger.info(
      { event: 'relayed-by-another', members: relayed },
      'members behind other NATs that are reached by a relay alone changed',
    );
    onOffer();
  }

  #noteDeafRelays(hidden: readonly NodeRecord[]): void {
    const { answers, onNews, onOffer } = this.#deps;
    const [own] = this.#self?.wireguard?.keys ?? [];
    const pairs = hidden.flatMap(({ id, wireguard }) => {
      const key = wireguard?.keys[0];
      if (!own || !key || !this.#natWays.isRelayed(id)) return [];
      const ends: Ends = [
        { nodeId: this.#options.selfId, publicKey: own.publicKey },
        { nodeId: id, publicKey: key.publicKey },
      ];
      const way = relayedWay(ends, this.#nodes(), answers);
      const tunnel = this.#tunnels.get(id);
      const isDeaf = tunnel?.problem !== undefined && tunnel.endpoint === way?.endpoint && answers(id);
      return { ends, deaf: isDeaf ? way?.relay : undefined, hasWay: way !== undefined };
    });
    if (!this.#deafRelays.note(pairs)) return;
    onOffer();
    onNews();
  }

  async #keepWay(mayRemove: () => boolean, signal: AbortSignal): Promise<void> {
    const { logger, view, ways } = this.#deps;
    if (!ways) return;
    const wanted = wantedControlWay(view, this.#options.selfId, this.#options.storePort);
    // Of the moment in which it is said what is wanted.
    const isCertain = mayRemove();
    if (!wanted && !isCertain) return;
    const seen = await ways.observe(signal);
    const ops = seen ? controlWayOps(wanted, seen, isCertain) : [];
    if (ops.length === 0) return;
    await ways.apply(ops, signal);
    logger.debug({ ops: ops.map(({ kind }) => kind) }, 'the way between the host and the tunnels was changed');
  }

  /** Where a member passes packets on, whoever's. */
  #isRelay(endpoint: string | undefined): boolean {
    return [...this.#deps.view.nodes()].some(({ vtep, wireguard }) =>
      (wireguard?.relays ?? []).some(({ ports }) => ports.some((port) => formatHostPort(vtep, port) === endpoint)),
    );
  }

  get #self(): NodeRecord | undefined {
    return this.#deps.view.node(this.#options.selfId);
  }

  /** Other members behind NAT that have a key. */
  #hidden(): NodeRecord[] {
    const others = [...this.#deps.view.nodes()].filter(({ id }) => id !== this.#options.selfId);
    return others.filter(({ left, nat, wireguard }) => !left && nat && wireguard);
  }

  #hostOf(nodeId: string): readonly string[] {
    return (this.sightOf(nodeId)?.keys ?? []).map(({ endpoint }) => endpoint);
  }
}

function isNamed(wanted: string | undefined) {
  return ({ name }: { readonly name: string }) => name === wanted;
}
