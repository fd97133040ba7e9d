/**
 * WireGuard on this host (docs/adr/0020): by the kernel's module, else by `wireguard-go`. What is done in the kernel is the kernel
 * thread's work; a device in userspace is spoken with over its Unix socket. Nothing is remembered of devices: each look asks.
 */
import { join } from 'node:path';
import { OverlaydError } from '../../core/errors.ts';
import { KEEPALIVE_SECONDS } from '../../core/wireguard/desired.ts';
import { HandshakeAges } from '../../core/wireguard/handshake-ages.ts';
import { WIREGUARD_PACKAGE } from '../../core/wireguard/offers.ts';
import { hasSession } from '../../core/wireguard/peer-memory.ts';
import {
  type SeenDevice,
  type SeenPeer,
  type SeenWireguard,
  WIREGUARD_DEVICES,
  type WireguardBackend,
  type WireguardDevice,
  type WireguardDeviceName,
  type WireguardFailure,
  type WireguardOp,
  type WireguardPeer,
} from '../../core/wireguard/state.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Wireguard } from '../../ports/wireguard.ts';
import type { PlaceLink, PlaceSeen, PlaceStep, StepRefusal } from '../kernel/wireguard-place.ts';
import type { DeviceChange, PeerChange } from '../netlink/wireguard.ts';
import type { OwnUnitDeps } from '../own-unit.ts';
import { WireguardChanges } from './changes.ts';
import { WireguardGo } from './go-process.ts';
import { explain } from './refusal.ts';
import { Uapi } from './uapi.ts';
import type { UapiDevice } from './uapi-text.ts';

/** The kernel's thread. */
export interface WireguardKernel {
  hasModule(signal?: AbortSignal): Promise<boolean>;
  look(signal?: AbortSignal): Promise<PlaceSeen | undefined>;
  carryOut(steps: readonly PlaceStep[], signal?: AbortSignal): Promise<StepRefusal | undefined>;
}

export interface WireguardDeps extends OwnUnitDeps {
  readonly clock: Clock;
  readonly kernel: WireguardKernel;
}

export interface WireguardOptions {
  /** The agent's; logs are in `wireguard` below it. */
  readonly dataDir: string;
  /** Another host than this process's, as tests have it. */
  readonly host?: {
    /** Path of its network namespace. */
    readonly namespace: string;
    /** Put before a command that is to run there. */
    readonly enter: readonly string[];
    /** Where sockets of devices are. */
    readonly uapiDirectory: string;
  };
  /** Those that may be used, the best first. */
  readonly backends?: readonly WireguardBackend[];
}

const UAPI_DIRECTORY = '/var/run/wireguard';
const BACKENDS = ['kernel', 'wireguard-go'] as const satisfies readonly WireguardBackend[];
/** A process that left so many questions in a row without an answer is taken for dead. */
const MOST_SILENCES = 3;
const KIND_OF = { kernel: 'wireguard', 'wireguard-go': 'tun' } as const satisfies Record<WireguardBackend, string>;

export function createWireguard(deps: WireguardDeps, options: WireguardOptions): Wireguard {
  return new HostWireguard(deps, options);
}

class HostWireguard implements Wireguard {
  readonly #kernel: WireguardKernel;
  readonly #uapi: Uapi;
  readonly #go: WireguardGo;
  readonly #changes: WireguardChanges;
  readonly #backends: readonly WireguardBackend[];
  readonly #namespace: string | undefined;
  readonly #silences = new Map<string, number>();
  readonly #ages = new HandshakeAges();
  readonly #clock: Clock;
  readonly #logger: Logger;
  #isToCall = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: WireguardDeps, { dataDir, host, backends = BACKENDS }: WireguardOptions) {
    this.#kernel = deps.kernel;
    this.#backends = backends;
    this.#namespace = host?.namespace;
    this.#uapi = new Uapi(host?.uapiDirectory ?? UAPI_DIRECTORY);
    this.#changes = new WireguardChanges(this.#uapi, this.#namespace, () => this.#callAgain());
    const logger = deps.logger.child({ part: 'wireguard' });
    this.#clock = deps.clock;
    this.#logger = logger;
    const paths = { directory: join(dataDir, 'wireguard'), enter: host?.enter ?? [] };
    this.#go = new WireguardGo({ ...deps, logger, uapi: this.#uapi }, paths);
  }

  async backend(): Promise<WireguardBackend | undefined> {
    for (const backend of this.#backends) {
      if (await (backend === 'kernel' ? this.#kernel.hasModule() : this.#go.isInstalled())) return backend;
    }
    return undefined;
  }

  async observe(signal?: AbortSignal): Promise<SeenWireguard> {
    const [place, ...answers] = await Promise.all([
      this.#kernel.look(signal),
      ...WIREGUARD_DEVICES.map((name) => this.#ask(name)),
    ]);
    if (!place) return { devices: [], sendBy: undefined };
    const devices = WIREGUARD_DEVICES.flatMap((name, at) => {
      const link = place.links.find((each) => each.name === name);
      return (link && seenDevice(name, link, answers[at])) ?? [];
    });
    for (const { name, backend } of devices) if (backend === 'wireguard-go') this.#changes.watch(name);
    this.#changes.placeId = place.nsid;
    const { link, source } = place.route ?? {};
    const sending = devices.find(({ name, address }) => name === link && address === source);
    const moment = { elapsedMs: this.#clock.elapsed(), nowMs: this.#clock.now() };
    return { devices: this.#ages.byClock(devices, moment), sendBy: sending?.name };
  }

  changes(signal: AbortSignal): AsyncIterable<void> {
    return this.#changes.follow(signal);
  }

  /** One after another: what is made of one device by halves is none of another call's. */
  apply(ops: readonly WireguardOp[], signal?: AbortSignal): Promise<readonly WireguardFailure[]> {
    const run = this.#last.then(() => this.#applyAll(ops, signal));
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #applyAll(ops: readonly WireguardOp[], signal?: AbortSignal): Promise<WireguardFailure[]> {
    const failures: WireguardFailure[] = [];
    const missing = new Set<string>();
    const devices: Devices = new Map();
    for (const op of ops) {
      if (signal?.aborted) throw new OverlaydError('cancelled', 'changing WireGuard was cancelled');
      const name = op.kind === 'add-device' ? op.device.name : op.kind === 'delete-place' ? undefined : op.name;
      if (name !== undefined && missing.has(name)) continue;
      try {
        await this.#carryOut(op, devices);
      } catch (error) {
        failures.push({ op, error: await explain(op, error as Error, this.#namespace) });
        if (op.kind === 'add-device') missing.add(op.device.name);
      }
    }
    return failures;
  }

  async #carryOut(op: WireguardOp, devices: Devices): Promise<void> {
    switch (op.kind) {
      case 'add-device':
        await this.#add(op.device);
        break;
      case 'delete-device':
        devices.delete(op.name);
        await this.#remove(op.name);
        break;
      case 'set-device':
        await this.#set(op.name, op.set, (await this.#deviceOf(op.name, devices)).backend);
        break;
      case 'set-peer':
        await this.#setPeer(op.name, op.peer, await this.#deviceOf(op.name, devices));
        break;
      case 'remove-peer': {
        const { backend, allowedIps } = await this.#deviceOf(op.name, devices);
        await this.#configure({ name: op.name, peers: [{ publicKey: op.publicKey, remove: true }] }, backend);
        allowedIps.delete(op.publicKey);
        break;
      }
      case 'send-by':
        await this.#steps({ kind: 'send-by', name: op.name, address: op.address });
        break;
      case 'delete-place':
        devices.clear();
        for (const name of WIREGUARD_DEVICES) await this.#remove(name);
        await this.#steps({ kind: 'delete-place' });
        await this.#go.clear(WIREGUARD_DEVICES);
    }
  }

  async #add(device: WireguardDevice): Promise<void> {
    const { name } = device;
    const { devices } = await this.observe();
    if (devices.some((each) => each.name === name)) throw new Error(`there is ${name} already`);
    const backend = await this.backend();
    if (backend === undefined) throw nothingRunsIt();
    await this.#remove(name);
    try {
      await this.#make(device, backend);
    } catch (error) {
      await this.#remove(name);
      throw error;
    }
  }

  async #make(
    { name, privateKey, port, mtu, address, peers }: WireguardDevice,
    backend: WireguardBackend,
  ): Promise<void> {
    const change = { name, privateKey, port, replacePeers: true, peers };
    const links: readonly PlaceStep[] = [
      { kind: 'set-address', name, address },
      { kind: 'set-up', name },
    ];
    if (backend === 'kernel') {
      const device: readonly PlaceStep[] = [{ kind: 'make-place' }, { kind: 'make-link', name, mtu }];
      await this.#steps(...device, { kind: 'configure', device: change }, ...links);
      return;
    }
    await this.#go.start(name);
    const device: readonly PlaceStep[] = [{ kind: 'make-place' }, { kind: 'move-link', name }];
    await this.#steps(...device, { kind: 'set-link', name, mtu }, ...links);
    // Calls go out at once, so that what comes back has a way.
    await this.#uapi.set(name, change);
    this.#changes.watch(name);
  }

  /** Whatever has the name, whole or not. */
  async #remove(name: string): Promise<void> {
    await this.#go.stop(name);
    await this.#steps({ kind: 'delete-link', name });
  }

  async #set(
    name: WireguardDeviceName,
    { privateKey, port, mtu, address }: Partial<Omit<WireguardDevice, 'name' | 'peers'>>,
    backend: WireguardBackend,
  ): Promise<void> {
    if (port !== undefined) await this.#setPort(name, port, backend);
    if (privateKey !== undefined) await this.#configure({ name, privateKey }, backend);
    const steps: PlaceStep[] = [];
    if (mtu !== undefined) steps.push({ kind: 'set-link', name, mtu });
    if (address !== undefined) steps.push({ kind: 'set-address', name, address });
    await this.#steps(...steps, { kind: 'set-up', name });
  }

  /** `wireguard-go` closes the port that it has before it finds that the other one is taken. */
  async #setPort(name: string, port: number, backend: WireguardBackend): Promise<void> {
    const before = backend === 'wireguard-go' ? await this.#uapi.get(name) : undefined;
    try {
      await this.#configure({ name, port }, backend);
    } catch (error) {
      if (before !== undefined && before.port !== 0) await this.#configure({ name, port: before.port }, backend);
      throw error;
    }
  }

  async #configure(device: DeviceChange, backend: WireguardBackend): Promise<void> {
    if (backend === 'kernel') await this.#steps({ kind: 'configure', device });
    else await this.#uapi.set(device.name, device);
  }

  /** AllowedIPs that are set anew are none for a moment, in which packets are lost: those that are right are left alone. */
  async #setPeer(name: string, peer: WireguardPeer, { backend, allowedIps }: Device): Promise<void> {
    const { publicKey, allowedIps: wanted } = peer;
    const seen = allowedIps.get(publicKey);
    const isRight = seen?.size === wanted.length && wanted.every((cidr) => seen.has(cidr));
    await this.#configure({ name, peers: [isRight ? { ...peer, allowedIps: undefined } : peer] }, backend);
    for (const others of allowedIps.values()) for (const cidr of wanted) others.delete(cidr);
    allowedIps.set(publicKey, new Set(wanted));
  }

  /** Looked at once in the course of one call. */
  async #deviceOf(name: string, devices: Devices): Promise<Device> {
    const known = devices.get(name);
    if (known) return known;
    const seen = (await this.observe()).devices.find((each) => each.name === name);
    if (!seen) throw new Error(`there is no ${name}`);
    const peers = seen.peers.map(({ publicKey, allowedIps }) => [publicKey, new Set(allowedIps)] as const);
    const device = { backend: seen.backend, allowedIps: new Map(peers) };
    devices.set(name, device);
    return device;
  }

  /**
   * The host's addresses changed. Those it talks to hear of it at once, and follow. Some releases of `wireguard-go` (0.0.20220316) go
   * on to send from an address that is gone, until they are told again where the peer is.
   */
  #callAgain(): void {
    if (this.#isToCall) return;
    this.#isToCall = true;
    const run = this.#last.then(async () => {
      this.#isToCall = false;
      const { devices } = await this.observe();
      for (const { name, backend, peers } of devices) {
        const reachable = peers.filter(({ endpoint }) => endpoint !== undefined);
        const moment = { elapsedMs: this.#clock.elapsed(), nowMs: this.#clock.now() };
        const there = reachable.map(({ publicKey, endpoint }) => ({ publicKey, endpoint }));
        const active = reachable.filter((peer) => hasSession(peer, moment));
        for (const each of [there, ...knocks(active)])
          if (each.length > 0) await this.#configure({ name, peers: each }, backend);
      }
    });
    this.#last = run.catch((error: unknown) => this.#logger.debug({ error }, 'peers could not be called again'));
  }

  async #ask(name: string): Promise<UapiDevice | undefined> {
    try {
      const answer = await this.#uapi.get(name);
      this.#silences.delete(name);
      return answer;
    } catch (cause) {
      const silences = (this.#silences.get(name) ?? 0) + 1;
      this.#silences.set(name, silences);
      if (silences >= MOST_SILENCES) return undefined;
      const message = `asking wireguard-go of ${name} failed: ${(cause as Error).message}`;
      throw new OverlaydError('data-path-failed', message, { retryable: true, cause });
    }
  }

  async #steps(...steps: readonly PlaceStep[]): Promise<void> {
    const refusal = await this.#kernel.carryOut(steps);
    if (refusal) throw Object.assign(new Error(refusal.message), { code: refusal.code });
  }
}

/** A keepalive is sent when there was none before; then it is as it was. */
function knocks(peers: readonly SeenPeer[]): readonly (readonly PeerChange[])[] {
  const round = (seconds: (peer: SeenPeer) => number) =>
    peers.map((peer) => ({ publicKey: peer.publicKey, keepaliveSeconds: seconds(peer) }));
  return [round(() => 0), round(() => KEEPALIVE_SECONDS), round(({ keepaliveSeconds }) => keepaliveSeconds)];
}

/** A device as it is known to be in the course of one call. */
interface Device {
  readonly backend: WireguardBackend;
  /** By the peers' public keys. */
  readonly allowedIps: Map<string, Set<string>>;
}
type Devices = Map<string, Device>;

/** Undefined: it is not whole. */
function seenDevice(
  name: WireguardDeviceName,
  { kind, mtu, up, addresses, device }: PlaceLink,
  answer: UapiDevice | undefined,
): SeenDevice | undefined {
  const backend = kind === KIND_OF.kernel ? 'kernel' : 'wireguard-go';
  const seen = backend === 'kernel' ? device : kind === KIND_OF[backend] ? answer : undefined;
  if (!seen) return undefined;
  const [, address] = addresses.length === 1 ? (/^(.*)\/32$/.exec(addresses[0]!) ?? []) : [];
  const peers = seen.peers.map((peer) => {
    const { publicKey, endpoint, allowedIps, keepaliveSeconds, lastHandshakeMs, receivedBytes, sentBytes } = peer;
    return { publicKey, endpoint, allowedIps, keepaliveSeconds, lastHandshakeMs, receivedBytes, sentBytes };
  });
  return { name, backend, publicKey: seen.publicKey, port: seen.port ?? 0, mtu, up, address, peers };
}

function nothingRunsIt(): OverlaydError {
  return new OverlaydError('tool-missing', `there is nothing on this host that runs WireGuard: ${WIREGUARD_PACKAGE}`);
}
