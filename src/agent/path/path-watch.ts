/**
 * Watches the data path to the other members by sending packets through it and having them sent back: a few a minute to each, in a
 * large cluster to some of them in turn, more where one got lost. What it uses is a namespace and a VXLAN device of its own
 * (`core/path/probe.ts`), so that nothing of a network depends on it; a row for each member is all that grows.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { Found } from '../../core/finding.ts';
import { innerMtu, innerMtus } from '../../core/inner-mtu.ts';
import { familyOfAddress } from '../../core/ip.ts';
import { isEncrypted, withEncryption } from '../../core/network-options.ts';
import { ChecksumErrors } from '../../core/path/checksums.ts';
import { decodeNetworkProbe } from '../../core/path/network-probe.ts';
import { type PathStatus, PeerPath } from '../../core/path/path.ts';
import * as probe from '../../core/path/probe.ts';
import type { NodeRecord } from '../../core/records.ts';
import { type Backend, pathTo } from '../../core/underlay.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { OpenPathSocket } from '../../ports/path.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import { ProbePlace } from './probe-place.ts';
import { Questions } from './questions.ts';

export interface PathWatchDeps {
  /** By what the packets go: as those of plain networks, or as those of encrypted ones. */
  readonly backend: Backend;
  /** Which instance of the namespace it is in which tunnels have their sockets; undefined: there is none. */
  readonly socketsAt: () => string | undefined;
  readonly view: () => Pick<ClusterView, 'nodes' | 'node' | 'live' | 'networks' | 'cluster'>;
  readonly self: () => NodeRecord;
  /** By gossip. */
  readonly isHeard: (nodeId: string) => boolean;
  readonly kernel: Pick<Kernel, 'apply'>;
  readonly open: OpenPathSocket;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly logger: Pick<Logger, 'warn' | 'info' | 'debug'>;
  /** Milliseconds since some moment, with their fractions. */
  readonly stopwatch: () => number;
  /** What came in from that member and is no question of this kind, nor an answer. */
  readonly onOther?: (nodeId: string, data: Uint8Array) => void;
}

const TICK_MS = 2_000;
const PEERS_PER_TICK = 16;
const EXAMINED_AT_ONCE = 8;
/** What idles in a tunnel has it shake hands anew: less often. */
const CALM_MS = { plain: 15_000, wireguard: 30_000 } as const;
const DOUBT_MS = 2_000;
/** It reads files of two namespaces. */
const CHECKSUMS_MS = 5_000;
const SMALL_MTU = 128;
/** Of a network that says nothing else. */
const USUAL = { plain: { options: {} }, wireguard: { options: withEncryption({}, 'default') } } as const;
/** Of an examination: packets of each size, unless the path is known as lost. */
const EXAMINED = 4;
const OF_CLOCK = 'clock-skew';
/** Why there is no path to a member. */
const WITHOUT = { plain: 'behind NAT all goes through WireGuard', wireguard: 'it offers no key of WireGuard' } as const;

interface Told extends Found {
  readonly nodeId: string;
}

export class PathWatch {
  readonly #deps: PathWatchDeps;
  readonly #paths = new Map<string, PeerPath>();
  readonly #dueAt = new Map<string, number>();
  readonly #place: ProbePlace;
  readonly #questions: Questions;
  readonly #checksums = new ChecksumErrors();
  #checksumsDueAt = 0;
  /** Findings that the log has told of. */
  #told = new Map<string, Told>();
  /** As of the last tick. */
  #whyNot: string | undefined = 'it has not begun yet';

  constructor(deps: PathWatchDeps) {
    this.#deps = deps;
    this.#questions = new Questions({
      ...deps,
      send: (data, address) => this.#place.send(data, address),
      onAsked: (nodeId) => this.#pathTo(nodeId).noteAsked(deps.clock.elapsed()),
    });
    this.#place = new ProbePlace({ ...deps, onMessage: (data, from) => this.#take(data, from) });
  }

  /** Whether this host answers. */
  get isOpen(): boolean {
    return this.#place.isOpen;
  }

  /** By the way that its own packets go. */
  sendBeside(node: NodeRecord, data: Uint8Array): void {
    const address = probe.probeAddressOf(this.#deps.backend, node);
    if (address !== undefined) this.#place.send(data, address);
  }

  #take(data: Uint8Array, from: string): void {
    const { backend, onOther, view } = this.#deps;
    const other = decodeNetworkProbe(data);
    if (!other) this.#questions.take(data, from);
    const node = other && view().node(other.nodeId);
    if (node && !node.left && probe.probeAddressOf(backend, node) === from) onOther?.(node.id, data);
  }

  /** Ends when the signal aborts; what is in the kernel stays, and the next run makes it anew. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    try {
      while (!signal.aborted) {
        this.#whyNot = this.#findWhyNot();
        if (this.#whyNot === undefined) {
          await this.#place.keep(this.#mtu, this.#ways(), this.#socketsAt);
          this.#forgetGone();
          for (const node of this.#due()) void this.#look(node);
          if (clock.elapsed() >= this.#checksumsDueAt) this.#noteChecksums();
        }
        this.#tell();
        await clock.sleep(TICK_MS, signal, 'loosely');
      }
    } finally {
      this.#place.close();
    }
  }

  #noteChecksums(): void {
    const { clock } = this.#deps;
    this.#checksumsDueAt = clock.elapsed() + CHECKSUMS_MS;
    this.#checksums.note(this.#place.checksumErrors(), clock.now());
  }

  /** Undefined: nothing is known of it, or it is not looked at. */
  status(node: NodeRecord): PathStatus | undefined {
    return this.skipped(node) === undefined ? this.#paths.get(node.id)?.status : undefined;
  }

  /** Why the path to a member is not looked at, in words; undefined: it is. */
  skipped(node: NodeRecord): string | undefined {
    const { backend, isHeard, self, view } = this.#deps;
    if (this.#whyNot !== undefined) return this.#whyNot;
    if (!pathTo(backend, self(), node)) return WITHOUT[backend];
    if (backend === 'plain' && familyOfAddress(node.vtep) !== familyOfAddress(self().vtep))
      return 'its address for the data path is of the other family, IPv4 or IPv6';
    const { answersProbes, answersEncrypted } = view().live(node.id) ?? {};
    if (!(backend === 'plain' ? answersProbes : answersEncrypted)) return 'its agent does not answer such packets';
    if (!this.#place.isOpen) return this.#place.problem ?? 'this host is not ready for it yet';
    return isHeard(node.id) ? undefined : 'it is not heard';
  }

  /** Looks now, at each until it is known how it is, which the log is told as well. Ends when all have been looked at. */
  async examine(nodes: readonly NodeRecord[]): Promise<void> {
    for (let at = 0; at < nodes.length; at += EXAMINED_AT_ONCE) {
      const some = nodes.slice(at, at + EXAMINED_AT_ONCE).filter((node) => this.skipped(node) === undefined);
      await Promise.all(some.map((node) => this.#examine(node)));
    }
    this.#noteChecksums();
    // Whoever asked for it may have mended it by the next tick.
    this.#tell();
  }

  /** Of the path to that one, without its clock. */
  findingsOf(nodeId: string): Found[] {
    const own = this.#found().filter((each) => each.nodeId === nodeId && each.code !== OF_CLOCK);
    return own.map(({ nodeId: _, ...each }) => each);
  }

  findings(): Found[] {
    const ofPaths = this.#found().map(({ nodeId: _, ...each }) => each);
    const isImpaired = ofPaths.some(({ code }) => code !== OF_CLOCK);
    return [...ofPaths, ...this.#checksums.findings(this.#deps.backend, isImpaired)];
  }

  #found(): Told[] {
    const { self, view } = this.#deps;
    let widest: number | undefined;
    const isWideEnough = ({ status }: PeerPath) => {
      widest ??= this.#widest();
      return widest <= status.mtu;
    };
    return [...this.#paths].flatMap(([nodeId, path]) => {
      const node = view().node(nodeId);
      if (!node || node.left || this.skipped(node) !== undefined) return [];
      const { vtep: from } = self();
      const to = { name: node.name, from, to: node.vtep, port: this.#portOf(node), backend: this.#deps.backend };
      // What passes is being found out.
      const isNarrow = () => path.nextSize === undefined && !isWideEnough(path);
      const told = path.findings(to).filter(({ code }) => code !== 'path-mtu' || isNarrow());
      return told
        .filter(({ code }) => code !== OF_CLOCK || this.#judgesClock(node))
        .map((each) => ({ ...each, nodeId }));
    });
  }

  /** UDP, which has to be open between the hosts. */
  #portOf({ dataPathPort, wireguard }: NodeRecord): number {
    return this.#deps.backend === 'plain' ? dataPathPort : (wireguard?.keys[0]?.port ?? 0);
  }

  /** Of two that see it one tells. */
  #judgesClock(node: NodeRecord): boolean {
    const { backend, self, view } = this.#deps;
    return backend === 'plain' || !pathTo('plain', self(), node) || whyNotBy('plain', view(), self()) !== undefined;
  }

  /** Bytes of the largest packets that networks send by it, which somebody may have made all of them for. It costs a look at all of them. */
  #widest(): number {
    const { backend, view } = this.#deps;
    const by = [...view().networks()].filter((network) => isEncrypted(network) === (backend === 'wireguard'));
    return by.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...by.map(innerMtus(view())));
  }

  /** Why nothing is to be looked at; it costs a look at all networks. */
  #findWhyNot(): string | undefined {
    const { backend, self, socketsAt, view } = this.#deps;
    const why = whyNotBy(backend, view(), self());
    return why ?? (socketsAt() === undefined ? 'WireGuard does not run on this host' : undefined);
  }

  get #mtu(): number {
    return innerMtu(this.#deps.view(), USUAL[this.#deps.backend]);
  }

  /** Hosts that come and go for years. */
  #forgetGone(): void {
    const { view } = this.#deps;
    for (const id of this.#paths.keys()) if (view().node(id)?.left ?? true) this.#paths.delete(id);
  }

  #pathTo(nodeId: string): PeerPath {
    const known = this.#paths.get(nodeId);
    if (known) return known;
    const path = new PeerPath();
    this.#paths.set(nodeId, path);
    return path;
  }

  /** With another address the place is another one as well. */
  get #socketsAt(): string {
    const { backend, self, socketsAt } = this.#deps;
    return `${socketsAt() ?? ''} ${probe.probeAddressOf(backend, self()) ?? ''}`;
  }

  #ways(): readonly probe.ProbeWay[] {
    const { backend, self } = this.#deps;
    return this.#reached().map((node) => {
      const { port, remote } = pathTo(backend, self(), node)!;
      return { id: node.id, address: probe.probeAddressOf(backend, node)!, remote, port };
    });
  }

  /** To whom there is a way. */
  #reached(): readonly NodeRecord[] {
    const { backend, self, view } = this.#deps;
    const own = self();
    const isOfFamily = ({ vtep }: NodeRecord) =>
      backend === 'wireguard' || familyOfAddress(vtep) === familyOfAddress(own.vtep);
    return [...view().nodes()].filter(
      (node) => node.id !== own.id && !node.left && isOfFamily(node) && pathTo(backend, own, node),
    );
  }

  /** Whose turn it is: those in doubt before the others. */
  #due(): readonly NodeRecord[] {
    const { clock, random } = this.#deps;
    const now = clock.elapsed();
    const nodes = this.#reached().filter((node) => this.skipped(node) === undefined);
    const known = new Set(nodes.map(({ id }) => id));
    for (const id of this.#dueAt.keys()) if (!known.has(id)) this.#dueAt.delete(id);
    const calmMs = Math.max(CALM_MS[this.#deps.backend], (nodes.length / PEERS_PER_TICK) * TICK_MS);
    const due = nodes.filter(({ id }) => (this.#dueAt.get(id) ?? 0) <= now);
    const inDoubt = ({ id }: NodeRecord) => (this.#paths.get(id)?.isInDoubt ? 0 : 1);
    const chosen = due.sort((a, b) => inDoubt(a) - inDoubt(b)).slice(0, PEERS_PER_TICK);
    for (const { id } of chosen) this.#dueAt.set(id, now + calmMs * (0.9 + 0.2 * random.next()));
    return chosen;
  }

  async #look(node: NodeRecord): Promise<void> {
    const path = this.#pathTo(node.id);
    await Promise.all([this.#ask(node, SMALL_MTU, false), this.#ask(node, this.#mtu, true)]);
    await this.#narrow(node, path);
    if (path.isInDoubt) this.#dueAt.set(node.id, this.#deps.clock.elapsed() + DOUBT_MS);
  }

  async #examine(node: NodeRecord): Promise<void> {
    const path = this.#pathTo(node.id);
    for (let nth = 0; nth < EXAMINED; nth++) {
      await Promise.all([this.#ask(node, SMALL_MTU, false), this.#ask(node, this.#mtu, true)]);
      // It was, and is: to wait for more of them tells nothing new.
      if (path.status.state === 'lost') break;
    }
    await this.#narrow(node, path);
  }

  /** Where large packets do not pass: finds what does, by halves, each size sent twice, since one that gets lost may be chance. */
  async #narrow(node: NodeRecord, path: PeerPath): Promise<void> {
    for (let size = path.nextSize; size !== undefined && this.#place.isOpen; size = path.nextSize) {
      const outcomes = await Promise.all([this.#send(node, size), this.#send(node, size)]);
      const isBack = outcomes.some(({ roundTripMs }) => roundTripMs !== undefined);
      path.noteBetween(size, isBack, this.#deps.clock.now());
    }
  }

  async #ask(node: NodeRecord, mtu: number, isLarge: boolean): Promise<void> {
    const outcome = await this.#send(node, mtu);
    const { clock } = this.#deps;
    // What was not asked by the end of this run is no outcome.
    if (!this.#place.isOpen) return;
    this.#pathTo(node.id).note(outcome, isLarge, { now: clock.now(), elapsed: clock.elapsed() });
  }

  async #send(node: NodeRecord, mtu: number) {
    const family = familyOfAddress(probe.probeAddressOf(this.#deps.backend, node) ?? node.vtep);
    const answer = await this.#questions.ask(node, probe.payloadOf(mtu, family));
    return { bytes: mtu, ...answer };
  }

  /** What is found is logged once, and once more when it has ended. */
  #tell(): void {
    const { backend, logger } = this.#deps;
    const encrypted = backend === 'wireguard';
    const now = new Map(this.#found().map((each) => [`${each.code} ${each.nodeId}`, each]));
    const impaired = new Set([...now.values()].flatMap(({ code, nodeId }) => (code === OF_CLOCK ? [] : [nodeId])));
    for (const [key, { code, subject: member, text: problem }] of now) {
      if (this.#told.has(key)) continue;
      if (code === OF_CLOCK) logger.warn({ member, problem }, 'the clock of a member differs');
      else logger.warn({ event: 'path-impaired', member, code, encrypted, problem }, 'packets to a member get lost');
    }
    const restored = new Map<string, string>();
    for (const [key, each] of this.#told) {
      const { code, nodeId, subject: member } = each;
      const node = this.#deps.view().node(nodeId);
      if (now.has(key) || !node || node.left) continue;
      // Where nothing is looked at it is not known to have ended.
      if (this.skipped(node) !== undefined) now.set(key, each);
      else if (code === OF_CLOCK) logger.info({ member }, 'the clock of a member is right again');
      else if (!impaired.has(nodeId)) restored.set(nodeId, member);
    }
    for (const member of restored.values())
      logger.info({ event: 'path-restored', member, encrypted }, 'the data path to a member is well again');
    this.#told = now;
  }
}

/** Why packets of that kind are of no use to anybody here. */
function whyNotBy(
  backend: Backend,
  view: Pick<ClusterView, 'networks' | 'cluster'>,
  self: Pick<NodeRecord, 'nat'>,
): string | undefined {
  const networks = [...view.networks()];
  if (backend === 'wireguard') return networks.some(isEncrypted) ? undefined : 'no network is encrypted';
  if (self.nat) return WITHOUT.plain;
  if (view.cluster()?.encryption === 'required') return 'all networks are encrypted';
  return networks.length > 0 && networks.every(isEncrypted) ? 'all networks are encrypted' : undefined;
}
