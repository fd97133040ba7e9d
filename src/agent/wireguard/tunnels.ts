/**
 * Keeps WireGuard as the cluster wants it: wanted -> observe -> plan -> apply, again and again. A pass is made when members or
 * networks change, when something of the devices changed, and now and then; while devices are there often enough to know who
 * answers. Nothing is removed before it is known that it is not wanted, and the end of the agent removes nothing.
 */
import { type ClusterView, unknownMembers } from '../../core/cluster-view.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { Latch } from '../../core/latch.ts';
import { ENCRYPTION_LEVEL, levelOf } from '../../core/levels.ts';
import {
  type MemberPeer,
  memberPeers,
  usesWireguard,
  type WantedDevices,
  type WireguardInput,
  wantedWireguard,
} from '../../core/wireguard/desired.ts';
import { WIREGUARD_PACKAGE } from '../../core/wireguard/offers.ts';
import { claimedKeys } from '../../core/wireguard/own-keys.ts';
import { type Moment, PeerMemory } from '../../core/wireguard/peer-memory.ts';
import { planWireguard } from '../../core/wireguard/plan.ts';
import type { SeenWireguard, WireguardOp } from '../../core/wireguard/state.ts';
import { type TunnelStatus, tunnelProblems, tunnelStatus } from '../../core/wireguard/tunnel-status.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Wireguard } from '../../ports/wireguard.ts';
import { BackendWatch } from './backend-watch.ts';
import type { KeyRing } from './key-ring.ts';
import type { Outside } from './outside.ts';
import { Rotation, type RotationDeps } from './rotation.ts';

export interface TunnelsDeps {
  readonly wireguard: Wireguard;
  readonly keys: KeyRing;
  readonly outside: Outside;
  readonly view: ClusterView;
  /** Not by a node that is no member any more, nor by an agent that does not speak the cluster's level. */
  readonly mayAct: () => boolean;
  /** Whether a member is heard by others than its packets. */
  readonly answers: (nodeId: string) => boolean;
  /** Devices are there that were not: what waits for them can be made. */
  readonly onMade: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly clockMemory?: RotationDeps['clockMemory'];
}

export interface TunnelsOptions {
  readonly selfId: string;
  readonly basePort: number;
  readonly keyLifetimeMs: number;
}

/** How often is looked without being told to: for handshakes, and while a key is exchanged. */
const LOOK_MS = 10_000;
const EXCHANGE_LOOK_MS = 2_000;
const AUDIT_MS = 60_000;
/** Somebody may install what runs WireGuard. */
const LACKING_LOOK_MS = 10_000;
const RETRY_MS = 1_000;
/** Each try may start a process. */
const LAST_RETRY_MS = 15_000;
/** An attach waits so long for the device. */
const READY_MS = 5_000;
/** Who asks how things are does not wait for longer. */
const LOOKED_MS = 500;
const NOTHING: SeenWireguard = { devices: [], sendBy: undefined };

export class Tunnels {
  readonly rotation: Rotation;
  readonly keys: KeyRing;
  readonly outside: Outside;
  readonly backend: BackendWatch;
  readonly #deps: TunnelsDeps;
  readonly #options: TunnelsOptions;
  readonly #due = new Latch();
  readonly #memory = new PeerMemory();
  /** Called after the next pass. */
  #waiting: (() => void)[] = [];
  #seen: SeenWireguard = NOTHING;
  /** What was wanted when all was found, or made, so; undefined: it was not. */
  #made: string | undefined;
  #isLookDue = true;
  /** After something failed; who brings news ends it. */
  #pause = new AbortController();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #failures: readonly string[] = [];
  #logged = '';

  constructor(deps: TunnelsDeps, options: TunnelsOptions) {
    this.#deps = deps;
    this.#options = options;
    this.keys = deps.keys;
    this.outside = deps.outside;
    this.backend = new BackendWatch(deps);
    this.rotation = new Rotation(
      { ...deps, nameOf: (nodeId) => this.#nameOf(nodeId), wake: () => this.look() },
      options,
    );
  }

  /** Members, networks or keys changed. */
  mark(): void {
    this.#pause.abort();
    this.#due.set();
  }

  /** The next pass looks at the devices, whatever changed. */
  look(): void {
    this.#isLookDue = true;
    this.#due.set();
  }

  /** One for each member that offers a key: the way by which this host sends to it. Empty while there are no devices. */
  peers(): readonly TunnelStatus[] {
    return tunnelStatus(this.#wanted(), this.#seen, this.#peers(), {
      isSilent: (device, peer) => this.#memory.isSilent(device, peer, this.#moment()),
      relayedBy: (nodeId) => this.outside.relayedBy(nodeId),
    });
  }

  /** In words. */
  problems(): readonly string[] {
    const { keys, view } = this.#deps;
    const isUsed = usesWireguard(view);
    const isLacking = isUsed && keys.backend === undefined && this.#seen.devices.length === 0;
    return [
      ...(keys.problem !== undefined && isUsed ? [keys.problem] : []),
      ...(isLacking
        ? [`encrypted networks need WireGuard, which this host does not have: ${WIREGUARD_PACKAGE} here`]
        : []),
      ...this.#failures,
      ...tunnelProblems(this.#heardElsewhere(), (nodeId) => this.#nameOf(nodeId)),
      ...this.rotation.problems(),
    ];
  }

  /** A host that is down has no handshake either, and is listed as down. One behind NAT is heard through its tunnel alone. */
  #heardElsewhere(): readonly TunnelStatus[] {
    const { answers, view } = this.#deps;
    const isInside = view.node(this.#options.selfId)?.nat;
    return this.peers().filter(({ nodeId }) => isInside || answers(nodeId) || view.node(nodeId)?.nat);
  }

  /** Before the tasks: what the node's record is made of. */
  async begin(): Promise<void> {
    await Promise.all([this.#deps.keys.load(), this.backend.find()]);
  }

  /** Ends when the signal aborts; what is there stays. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#due.set(), { once: true });
    const { clock } = this.#deps;
    const others = [this.#listen(signal), this.#tick(signal)];
    let retryMs = RETRY_MS;
    while (!signal.aborted) {
      await this.#due.wait();
      if (signal.aborted) break;
      this.#pause = new AbortController();
      const isDone = await this.#pass(signal);
      this.#wakeWaiting();
      if (isDone) {
        retryMs = RETRY_MS;
        continue;
      }
      await clock.sleep(retryMs, AbortSignal.any([signal, this.#pause.signal])).catch(() => undefined);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
      this.look();
    }
    this.outside.close();
    await Promise.all(others);
  }

  /** Resolves when the devices were looked at anew, for who is about to tell of them; soon when they cannot be. */
  async looked(): Promise<void> {
    if (this.#seen.devices.length === 0) return;
    const passed = new Promise<void>((resolve) => void this.#waiting.push(resolve));
    this.look();
    await this.#upTo(LOOKED_MS, passed);
  }

  /** Resolves when the members may know of this host's key, or know that it has none; not much later when they do not. */
  async offered(): Promise<void> {
    const { clock, keys, view } = this.#deps;
    const end = clock.elapsed() + READY_MS;
    // Before the view is whole the level is not known.
    const isComing = () => keys.backend !== undefined && (!view.isWhole || levelOf(view) >= ENCRYPTION_LEVEL);
    while (isComing() && !view.node(this.#options.selfId)?.wireguard && clock.elapsed() < end) await clock.sleep(50);
  }

  /** Whether anything runs WireGuard here; where nothing did, it is looked for anew, and told to the members as by {@link offered}. */
  async canRun(): Promise<boolean> {
    const { keys } = this.#deps;
    if (keys.backend === undefined) {
      await this.backend.find();
      await this.offered();
    }
    return keys.backend !== undefined;
  }

  /** Resolves when the device by which this host sends is there. Throws `data-path-failed` with what stands in the way. */
  async ready(): Promise<void> {
    const { clock } = this.#deps;
    const end = clock.elapsed() + READY_MS;
    while (!this.#isReady()) {
      if (clock.elapsed() >= end) throw this.#unready();
      const passed = new Promise<void>((resolve) => void this.#waiting.push(resolve));
      this.look();
      await this.#upTo(end - clock.elapsed(), passed);
      // What failed is tried again in a moment.
      if (!this.#isReady()) await clock.sleep(100);
    }
  }

  async #upTo(ms: number, passed: Promise<void>): Promise<void> {
    const given = new AbortController();
    await Promise.race([passed, this.#deps.clock.sleep(ms, given.signal).catch(() => undefined)]);
    given.abort();
  }

  #isReady(): boolean {
    const { sendBy } = this.#seen;
    return this.#seen.devices.some(({ name, up }) => name === sendBy && up);
  }

  #unready(): OverlaydError {
    const [cause = 'its number is not claimed yet, for which etcd is needed'] = this.problems();
    return new OverlaydError('data-path-failed', `the WireGuard device of this host is not there: ${cause}`, {
      retryable: true,
    });
  }

  // ------------------------------------------------------------ passes

  /** False: something failed and is to be tried again. */
  async #pass(signal: AbortSignal): Promise<boolean> {
    const { logger, mayAct } = this.#deps;
    if (!mayAct()) return true;
    const isLook = this.#isLookDue;
    this.#isLookDue = false;
    // Of one moment: what is wanted of a view that was not whole proves nothing, whatever the view is by the time of the plan.
    const [wanted, mayRemove] = [this.#wanted(), this.#mayRemove()];
    const text = `${mayRemove} ${JSON.stringify(wanted)}`;
    if (!isLook && text === this.#made) return true;
    try {
      this.#failures = await this.#bring(wanted, mayRemove, signal);
      if (this.#failures.length === 0) this.#made = text;
      await this.rotation.advance({
        ...{ seen: this.#seen, peers: this.#peers(), memory: this.#memory, moment: this.#moment() },
        ...{ isUsed: wanted.devices.length > 0, published: this.#deps.view.node(this.#options.selfId)?.wireguard },
      });
    } catch (error) {
      if (signal.aborted) return true;
      this.#failures = [asOverlaydError(error).message];
    }
    const problems = this.#failures.join('\n');
    if (problems !== this.#logged && problems !== '') {
      logger.warn({ problems: this.#failures }, 'WireGuard could not be brought to the wanted state, trying again');
    }
    this.#logged = problems;
    return this.#failures.length === 0;
  }

  /** Returns what failed, in words. */
  async #bring(wanted: WantedDevices, mayRemove: boolean, signal: AbortSignal): Promise<readonly string[]> {
    const { logger, onMade, wireguard } = this.#deps;
    if (wanted.devices.length > 0 && this.#deps.keys.backend === undefined) await this.backend.find();
    const wasReady = this.#isReady();
    await this.#observe([], signal);
    const before = this.peers();
    const isEndpointDue = (
      ...[device, peer, endpoint]: Parameters<Parameters<typeof planWireguard>[2]['isEndpointDue']>
    ) => this.#memory.isEndpointDue(device, peer, endpoint, this.#moment());
    const ops = planWireguard(wanted, this.#seen, { mayRemove, isEndpointDue });
    const failures = ops.length === 0 ? [] : await wireguard.apply(ops, signal);
    const failed = new Set(failures.map(({ op }) => op));
    this.#accept(wanted, ops, failed);
    if (ops.length > 0) {
      logger.debug({ ops: ops.map(described), failures: failures.length }, 'WireGuard was changed');
      for (const op of ops) this.#tell(op, failed.has(op));
      await this.#observe(ops, signal);
    }
    if (!wasReady && this.#isReady()) onMade();
    const context = { before, mayRemove: () => this.#mayRemove(), signal };
    const problems = await this.outside.keep(this.#seen, this.peers(), context);
    return [...new Set([...failures.map(({ error }) => error.message), ...problems])];
  }

  /** `done`: since the last look. */
  async #observe(done: readonly WireguardOp[], signal: AbortSignal): Promise<void> {
    this.#seen = await this.#deps.wireguard.observe(signal);
    this.#lookedAt = this.#deps.clock.elapsed();
    const deleted = done.flatMap((op) => (op.kind === 'delete-device' ? [op.name] : []));
    this.backend.note(this.#seen, new Set(deleted));
    this.#memory.note(this.#seen, this.#moment());
  }

  /** From now on the endpoints are those of the records, or better ones that WireGuard found. */
  #accept({ devices }: WantedDevices, ops: readonly WireguardOp[], failed: ReadonlySet<WireguardOp>): void {
    const given = new Set<string>();
    const refused = new Set<string>();
    for (const op of ops) {
      if (op.kind !== 'set-peer') continue;
      const key = `${op.name} ${op.peer.publicKey}`;
      if (failed.has(op)) refused.add(key);
      else if (op.peer.endpoint !== undefined) given.add(key);
    }
    for (const device of devices) {
      for (const peer of device.peers) {
        const key = `${device.name} ${peer.publicKey}`;
        if (!refused.has(key)) this.#memory.accept(device, peer, peer.endpoint, given.has(key));
      }
    }
  }

  #tell(op: WireguardOp, isFailed: boolean): void {
    const { logger } = this.#deps;
    if (isFailed) return;
    if (op.kind === 'add-device') {
      const { name, port, address, peers } = op.device;
      logger.info(
        { event: 'wireguard-made', device: name, port, address, peers: peers.length },
        'WireGuard device made',
      );
    } else if (op.kind === 'delete-device') {
      logger.info({ event: 'wireguard-removed', device: op.name }, 'WireGuard device removed');
    }
  }

  #wanted(): WantedDevices {
    return wantedWireguard(this.#input());
  }

  #peers(): readonly MemberPeer[] {
    return memberPeers(this.#input());
  }

  #input(): WireguardInput {
    const { keys, view } = this.#deps;
    const { outside } = this.#deps;
    const endpointTo: WireguardInput['endpointTo'] = (...of) => outside.endpointTo(...of);
    return { view, keys: claimedKeys(keys.keys), endpointTo, ...this.#options };
  }

  #mayRemove(): boolean {
    const { keys, view } = this.#deps;
    return view.provesAbsence && unknownMembers(view).length === 0 && keys.problem === undefined;
  }

  #moment(): Moment {
    const { clock } = this.#deps;
    return { elapsedMs: clock.elapsed(), nowMs: clock.now() };
  }

  #nameOf(nodeId: string): string {
    return this.#deps.view.node(nodeId)?.name ?? nodeId.slice(0, 12);
  }

  // ------------------------------------------------------------ what wakes it

  async #listen(signal: AbortSignal): Promise<void> {
    const { clock, logger, wireguard } = this.#deps;
    while (!signal.aborted) {
      try {
        for await (const _ of wireguard.changes(signal)) this.look();
      } catch (error) {
        if (!signal.aborted) logger.warn({ error }, 'changes of WireGuard are not heard, trying again');
      }
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    let auditedAt = clock.elapsed();
    while (!signal.aborted) {
      await clock.sleep(EXCHANGE_LOOK_MS, signal, 'loosely').catch(() => undefined);
      if (signal.aborted) return;
      const now = clock.elapsed();
      if (now - auditedAt >= (this.#deps.keys.backend === undefined ? LACKING_LOOK_MS : AUDIT_MS)) {
        auditedAt = now;
        await Promise.all([this.#deps.keys.load(), this.backend.find()]);
        this.look();
      }
      const isBusy = this.rotation.isUnderWay || this.outside.isTrying;
      const pauseMs = isBusy ? EXCHANGE_LOOK_MS : this.#seen.devices.length > 0 ? LOOK_MS : AUDIT_MS;
      if (now - this.#lookedAt >= pauseMs) this.look();
    }
  }

  #wakeWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

function described(op: WireguardOp): string {
  if (op.kind === 'delete-place') return op.kind;
  return `${op.kind} ${op.kind === 'add-device' ? op.device.name : op.name}`;
}
