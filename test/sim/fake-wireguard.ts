/**
 * WireGuard in memory, for hosts of one {@link FakeTunnels}: as strict as what the real one asks for its ops. What is done is
 * told to whoever listens, as the kernel's events are.
 */
import { createInbox, type Inbox } from '../../src/adapters/kernel/inbox.ts';
import { keyBytes, publicKeyOf } from '../../src/adapters/wireguard/keys.ts';
import { isCanonical, parseCidr } from '../../src/core/cidr.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { parseHostPort } from '../../src/core/host-port.ts';
import { isCanonicalIp } from '../../src/core/ip.ts';
import { HandshakeAges } from '../../src/core/wireguard/handshake-ages.ts';
import type { KeyPair } from '../../src/core/wireguard/own-keys.ts';
import {
  type SeenWireguard,
  WIREGUARD_DEVICES,
  type WireguardBackend,
  type WireguardDevice,
  type WireguardDeviceName,
  type WireguardFailure,
  type WireguardOp,
  type WireguardPeer,
} from '../../src/core/wireguard/state.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import type { Wireguard } from '../../src/ports/wireguard.ts';
import type { FakeTunnels, Packet, Session } from './fake-tunnels.ts';
import type { FakeRouter, Station } from './fake-underlay.ts';

export interface FakePeer {
  readonly publicKey: string;
  endpoint: string | undefined;
  allowedIps: string[];
  keepaliveSeconds: number;
  lastHandshakeMs: number | undefined;
  /** The time stamp of its latest call, by its wall clock. */
  stampMs: number;
  receivedBytes: number;
  sentBytes: number;
  /** What is sent by. */
  current: Session | undefined;
  previous: Session | undefined;
  /** The other side began it, and has not used it yet. */
  next: Session | undefined;
  /** By the monotonic clock: something was sent or received last; it was called last. */
  passedAt: number;
  calledAt: number;
  /** Since when it is called, sent to, and to be answered, in vain. */
  callingSince: number | undefined;
  askedSince: number | undefined;
  owesSince: number | undefined;
}

export interface FakeDevice {
  readonly name: WireguardDeviceName;
  readonly backend: WireguardBackend;
  publicKey: string;
  port: number;
  mtu: number;
  address: string;
  up: boolean;
  readonly peers: Map<string, FakePeer>;
}

const UNHEARD = {
  ...{ endpoint: undefined, keepaliveSeconds: 0, lastHandshakeMs: undefined, receivedBytes: 0, sentBytes: 0 },
  stampMs: Number.NEGATIVE_INFINITY,
  ...{ current: undefined, previous: undefined, next: undefined, passedAt: 0, calledAt: Number.NEGATIVE_INFINITY },
  ...{ callingSince: undefined, askedSince: undefined, owesSince: undefined },
} as const;

export class FakeWireguard implements Wireguard, Station<Packet> {
  /** Of the host on the underlay; tests change it. */
  address: string;
  /** Behind which it is. */
  readonly router: FakeRouter | undefined;
  readonly clock: Clock;
  /** Of others on this host, by UDP port. */
  readonly sockets = new Map<number, (from: string, packet: Packet) => void>();
  readonly devices = new Map<WireguardDeviceName, FakeDevice>();
  /** UDP ports that others have. */
  readonly takenPorts = new Set<number>();
  /** What there is to run it with; undefined: nothing. */
  offers: WireguardBackend | undefined = 'wireguard-go';
  /** The namespace is there. */
  hasPlace = false;
  /** Ops carried out since the start. */
  writes = 0;
  observations = 0;
  /** Echoes asked for that came out of a tunnel. */
  echoes = 0;
  sendBy: WireguardDeviceName | undefined;
  readonly #tunnels: FakeTunnels;
  readonly #ages = new HandshakeAges();
  readonly #listeners = new Set<Inbox<'changed'>>();
  #faults: { readonly match: (op: WireguardOp) => boolean; left: number }[] = [];

  constructor(tunnels: FakeTunnels, address: string, clock: Clock, router?: FakeRouter) {
    this.#tunnels = tunnels;
    this.address = address;
    this.clock = clock;
    this.router = router;
    tunnels.add(this);
  }

  // ------------------------------------------------------------ the port

  async backend(): Promise<WireguardBackend | undefined> {
    return this.offers;
  }

  async observe(): Promise<SeenWireguard> {
    this.observations += 1;
    this.#tunnels.settle();
    const devices = [...this.devices.values()].map(({ peers, ...device }) => ({
      ...device,
      peers: [...peers.values()].map(seenPeer),
    }));
    const moment = { elapsedMs: this.clock.elapsed(), nowMs: this.clock.now() };
    return { devices: this.#ages.byClock(devices, moment), sendBy: this.sendBy };
  }

  async apply(ops: readonly WireguardOp[]): Promise<readonly WireguardFailure[]> {
    const failures: WireguardFailure[] = [];
    const missing = new Set<string>();
    for (const op of ops) {
      const name = nameOf(op);
      if (name !== undefined && missing.has(name)) continue;
      try {
        this.#checkFaults(op);
        this.#carryOut(op);
        this.writes += 1;
      } catch (error) {
        failures.push({ op, error: error as Error });
        if (op.kind === 'add-device') missing.add(op.device.name);
      }
      this.#tell();
    }
    this.#tunnels.settle();
    return failures;
  }

  async *changes(signal: AbortSignal): AsyncGenerator<void> {
    if (signal.aborted) return;
    const inbox = createInbox<'changed'>(() => '');
    const close = () => inbox.close();
    signal.addEventListener('abort', close, { once: true });
    this.#listeners.add(inbox);
    inbox.push('changed');
    try {
      for await (const _ of inbox.items()) yield;
    } finally {
      this.#listeners.delete(inbox);
      signal.removeEventListener('abort', close);
    }
  }

  receive(port: number, from: string, packet: Packet): void {
    const socket = this.sockets.get(port);
    if (socket) socket(from, packet);
    else this.#tunnels.receive(this, port, from, packet);
  }

  // ------------------------------------------------------------ what tests do

  /** What runs the device ends. */
  crash(name: WireguardDeviceName): void {
    this.#remove(name);
    this.#tell();
  }

  /** Somebody changes a device by hand. */
  interfere(name: WireguardDeviceName, change: Partial<Pick<FakeDevice, 'up' | 'mtu' | 'port'>>): void {
    Object.assign(this.#device(name), change);
    // The kernel takes away the routes of a link that is down.
    if (change.up === false && this.sendBy === name) this.sendBy = undefined;
    this.#tell();
  }

  /** The next op, or the next `times` of them, that matches is refused. */
  failOn(match: (op: WireguardOp) => boolean, times = 1): void {
    this.#faults.push({ match, left: times });
  }

  /** Off, or gone from the cluster. */
  vanish(): void {
    this.#tunnels.remove(this);
  }

  /** The device by which this host sends. */
  get sending(): FakeDevice | undefined {
    const device = this.sendBy && this.devices.get(this.sendBy);
    return device?.up ? device : undefined;
  }

  /** Of what this host sends. */
  get source(): string | undefined {
    return this.sending?.address;
  }

  // ------------------------------------------------------------ ops

  #carryOut(op: WireguardOp): void {
    switch (op.kind) {
      case 'add-device':
        this.#add(op.device);
        break;
      case 'delete-device':
        this.#remove(op.name);
        break;
      case 'set-device':
        this.#set(op.name, op.set);
        break;
      case 'set-peer':
        this.#setPeer(this.#device(op.name), op.peer);
        break;
      case 'remove-peer':
        this.#device(op.name).peers.delete(op.publicKey);
        break;
      case 'send-by':
        if (!this.#hasAddress(op.address)) throw failed(`${op.address} is no address of ${op.name}`);
        this.sendBy = this.#device(op.name).address === op.address ? op.name : undefined;
        break;
      case 'delete-place':
        if (this.devices.size > 0) throw failed('the place has devices');
        this.hasPlace = false;
        break;
    }
  }

  #add({ name, privateKey, port, mtu, address, peers }: WireguardDevice): void {
    if (!WIREGUARD_DEVICES.includes(name)) throw failed(`${name} is no name of a device`);
    if (this.devices.has(name)) throw failed(`there is ${name} already`);
    const backend = this.offers;
    if (backend === undefined)
      throw new OverlaydError('tool-missing', 'nothing runs WireGuard here: install the package wireguard-go');
    this.#checkPort(name, port);
    checkAddress(address);
    const publicKey = publicKeyOf(privateKey);
    const device = { name, backend, publicKey, port, mtu, address, up: true, peers: new Map<string, FakePeer>() };
    this.hasPlace = true;
    this.devices.set(name, device);
    for (const peer of peers) this.#setPeer(device, peer);
  }

  #remove(name: WireguardDeviceName): void {
    this.devices.delete(name);
    if (this.sendBy === name) this.sendBy = undefined;
  }

  #set(name: WireguardDeviceName, set: Partial<Omit<WireguardDevice, 'name' | 'peers'>>): void {
    const device = this.#device(name);
    const { privateKey, port, mtu, address } = set;
    if (port !== undefined) this.#checkPort(name, port);
    if (address !== undefined) checkAddress(address);
    if (privateKey !== undefined && publicKeyOf(privateKey) !== device.publicKey) {
      device.publicKey = publicKeyOf(privateKey);
      device.peers.delete(device.publicKey);
      for (const peer of device.peers.values()) peer.current = peer.previous = peer.next = undefined;
    }
    device.port = port ?? device.port;
    device.mtu = mtu ?? device.mtu;
    device.address = address ?? device.address;
    device.up = true;
  }

  #setPeer(device: FakeDevice, { publicKey, endpoint, allowedIps, keepaliveSeconds }: WireguardPeer): void {
    keyBytes(publicKey);
    if (endpoint !== undefined) checkEndpoint(endpoint);
    for (const cidr of allowedIps) checkCidr(cidr);
    // WireGuard leaves its own key out without a word.
    if (publicKey === device.publicKey) return;
    for (const other of device.peers.values())
      other.allowedIps = other.allowedIps.filter((cidr) => !allowedIps.includes(cidr));
    const peer: FakePeer = device.peers.get(publicKey) ?? { ...UNHEARD, publicKey, allowedIps: [] };
    const isKnock = peer.keepaliveSeconds === 0 && keepaliveSeconds > 0;
    device.peers.set(publicKey, peer);
    const changed = { endpoint: endpoint ?? peer.endpoint, allowedIps: [...allowedIps], keepaliveSeconds };
    Object.assign(peer, changed);
    if (isKnock) this.#tunnels.knock(this, device, peer);
  }

  #device(name: WireguardDeviceName): FakeDevice {
    const device = this.devices.get(name);
    if (!device) throw failed(`there is no ${name}`);
    return device;
  }

  #hasAddress(address: string): boolean {
    return [...this.devices.values()].some((device) => device.address === address);
  }

  #checkPort(name: WireguardDeviceName, port: number): void {
    const isOurs = [...this.devices.values()].some((device) => device.name !== name && device.port === port);
    if (isOurs || this.takenPorts.has(port)) throw failed(`UDP port ${port} is taken`);
  }

  #checkFaults(op: WireguardOp): void {
    const fault = this.#faults.find(({ match, left }) => left > 0 && match(op));
    if (!fault) return;
    fault.left -= 1;
    throw failed(`${op.kind} is refused`);
  }

  #tell(): void {
    for (const inbox of this.#listeners) inbox.push('changed');
  }
}

function seenPeer(peer: FakePeer) {
  const { publicKey, endpoint, allowedIps, keepaliveSeconds, lastHandshakeMs, receivedBytes, sentBytes } = peer;
  const counted = { lastHandshakeMs, receivedBytes, sentBytes };
  return { publicKey, endpoint, allowedIps: [...allowedIps], keepaliveSeconds, ...counted };
}

function nameOf(op: WireguardOp): WireguardDeviceName | undefined {
  if (op.kind === 'delete-place') return undefined;
  return op.kind === 'add-device' ? op.device.name : op.name;
}

function checkAddress(address: string): void {
  if (!isCanonicalIp(address)) throw new Error(`"${address}" is no address`);
}

function checkEndpoint(endpoint: string): void {
  const { host = '', port } = parseHostPort(endpoint) ?? {};
  if (!isCanonicalIp(host) || port === undefined) throw new Error(`"${endpoint}" is no endpoint`);
}

function checkCidr(text: string): void {
  const cidr = parseCidr(text);
  if (!cidr || !isCanonical(cidr)) throw new Error(`"${text}" is no CIDR`);
}

function failed(message: string): OverlaydError {
  return new OverlaydError('data-path-failed', message, { retryable: true });
}

/** The pair of a private key that is given as hex. */
export function keyPairOf(hex: string): KeyPair {
  const privateKey = Buffer.from(hex, 'hex').toString('base64');
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}
