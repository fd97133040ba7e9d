/**
 * What lies between the hosts' WireGuard devices: handshakes, sessions, what comes out of a tunnel, and WireGuard's timers (its
 * paper, section 6), over a {@link FakeUnderlay}. Nothing takes time. Timers are looked at when a device is, and each second
 * where {@link FakeTunnels.run} was called.
 */
import { contains, parseCidr } from '../../src/core/cidr.ts';
import { parseIp } from '../../src/core/ip.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import { FakeUnderlay } from './fake-underlay.ts';
import type { FakeDevice, FakePeer, FakeWireguard } from './fake-wireguard.ts';

/** Of a handshake's first message, of its answer, of a packet with nothing in it, and of one with an echo. */
const BYTES = { call: 148, answer: 92, keepalive: 32, data: 128 } as const;
/** `REJECT_AFTER_TIME`: an older session carries nothing. */
const SESSION_MS = 180_000;
/** `REKEY_AFTER_TIME`, of who began it. */
const RENEWAL_MS = 120_000;
/** `REKEY_TIMEOUT`: so long between two calls. */
const CALL_MS = 5_000;
/** `REKEY_ATTEMPT_TIME`. */
const CALLING_MS = 90_000;
/** `KEEPALIVE_TIMEOUT`: who was told something and has nothing to say answers then. */
const ANSWER_MS = 10_000;
const TICK_MS = 1_000;

export interface Session {
  readonly id: symbol;
  /** By the monotonic clock. */
  readonly at: number;
  readonly isOwn: boolean;
}

/** Which host it came out at is written into it. */
interface Inner {
  readonly source: string;
  readonly destination: string;
  host?: FakeWireguard;
}

export interface Packet {
  readonly kind: 'call' | 'answer' | 'data';
  /** Public keys. */
  readonly from: string;
  readonly to: string;
  readonly session: symbol;
  readonly bytes: number;
  /** Of a call: when it is, by the caller's wall clock (TAI64N). */
  readonly stampMs?: number;
  readonly inner?: Inner | undefined;
}

export class FakeTunnels {
  readonly underlay = new FakeUnderlay<Packet, FakeWireguard>();

  get reaches() {
    return this.underlay.reaches;
  }

  /** Whether datagrams of one host get to another one's address; tests replace it to cut a line. */
  set reaches(reaches: (from: FakeWireguard, to: FakeWireguard) => boolean) {
    this.underlay.reaches = reaches;
  }

  add(host: FakeWireguard): void {
    this.underlay.hosts.add(host);
  }

  remove(host: FakeWireguard): void {
    this.underlay.hosts.delete(host);
  }

  /** From now on timers fire by themselves, for ever. */
  async run(clock: Pick<Clock, 'sleep'>): Promise<never> {
    for (;;) {
      await clock.sleep(TICK_MS);
      this.settle();
    }
  }

  /** What timers have to do by now. */
  settle(): void {
    for (const host of this.underlay.hosts) {
      const now = host.clock.elapsed();
      for (const device of host.devices.values()) {
        if (!device.up) continue;
        for (const peer of device.peers.values()) if (peer.endpoint !== undefined) this.#time(host, device, peer, now);
      }
    }
  }

  /** A keepalive was set where there was none. */
  knock(host: FakeWireguard, device: FakeDevice, peer: FakePeer): void {
    this.#send(host, device, peer);
  }

  /** Whether an echo comes back from that address inside of the tunnels. */
  ping(from: FakeWireguard, address: string): boolean {
    const source = from.source;
    if (source === undefined) return false;
    const to = this.#carry(from, source, address);
    if (to === undefined) return false;
    to.echoes += 1;
    return this.#carry(to, address, source) === from;
  }

  /** Whether a packet that nobody answers gets to that address: VXLAN's have the sender's address, wherever an answer goes. */
  delivers(from: FakeWireguard, address: string): boolean {
    return from.source !== undefined && this.#carry(from, from.source, address) !== undefined;
  }

  /** Whose it is inside of the tunnels, where that passes in both directions. */
  converse(from: FakeWireguard, source: string, address: string): FakeWireguard | undefined {
    const to = this.#carry(from, source, address);
    return to && this.#carry(to, address, source) === from ? to : undefined;
  }

  /** What comes to a device's port. */
  receive(host: FakeWireguard, port: number, from: string, packet: Packet): void {
    const devices = [...host.devices.values()];
    const device = devices.find((each) => each.port === port && each.up && each.publicKey === packet.to);
    const peer = device?.peers.get(packet.from);
    if (!device || !peer) return;
    const now = host.clock.elapsed();
    const { session: id, kind } = packet;
    if (kind === 'data') {
      const known = [peer.current, peer.previous, peer.next].find((session) => session?.id === id);
      if (!known || !isFresh(known, now)) return;
      if (known === peer.next) this.#begin(host, peer, known);
    }
    // One that is older than the latest may be said again by somebody else: there is no answer. Two may be of one millisecond.
    if (kind === 'call' && packet.stampMs! < peer.stampMs) return;
    peer.stampMs = packet.stampMs ?? peer.stampMs;
    peer.endpoint = from;
    peer.receivedBytes += packet.bytes;
    peer.passedAt = now;
    if (kind === 'call') {
      peer.next = { id, at: now, isOwn: false };
      const answer = { kind: 'answer', to: packet.from, from: packet.to, session: id, bytes: BYTES.answer } as const;
      this.#put(host, device, peer, answer);
      return;
    }
    peer.askedSince = undefined;
    if (kind === 'answer') {
      this.#begin(host, peer, { id, at: now, isOwn: true });
      this.#send(host, device, peer);
    } else if (packet.inner) {
      peer.owesSince ??= now;
      const { source, destination } = packet.inner;
      if (peerFor(device, source) !== peer) return;
      if (devices.some(({ address }) => isAt(address, destination))) packet.inner.host = host;
    }
  }

  #begin(host: FakeWireguard, peer: FakePeer, session: Session): void {
    if (peer.next?.id === session.id) peer.next = undefined;
    peer.previous = peer.current;
    peer.current = session;
    peer.lastHandshakeMs = host.clock.now();
    peer.callingSince = undefined;
  }

  #time(host: FakeWireguard, device: FakeDevice, peer: FakePeer, now: number): void {
    const { askedSince, callingSince, keepaliveSeconds, owesSince, passedAt } = peer;
    if (callingSince !== undefined && now - callingSince >= CALLING_MS) peer.callingSince = undefined;
    const isDeaf = askedSince !== undefined && now - askedSince >= ANSWER_MS + CALL_MS;
    if (peer.callingSince !== undefined || isDeaf) this.#call(host, device, peer, now);
    const isQuiet = keepaliveSeconds > 0 && now - passedAt >= keepaliveSeconds * 1_000;
    const isOwing = owesSince !== undefined && now - owesSince >= ANSWER_MS;
    if (isQuiet || isOwing) this.#send(host, device, peer);
  }

  /** The host that a packet arrives at. */
  #carry(from: FakeWireguard, source: string, destination: string): FakeWireguard | undefined {
    const device = [...from.devices.values()].find(({ address, up }) => up && isAt(address, source));
    const peer = device && peerFor(device, destination);
    if (!peer) return undefined;
    const inner: Inner = { source, destination };
    this.#send(from, device, peer, inner);
    return inner.host;
  }

  /** Without a session it is lost, unless the call for it is answered. */
  #send(host: FakeWireguard, device: FakeDevice, peer: FakePeer, inner?: Inner): void {
    if (!device.up || peer.endpoint === undefined) return;
    const now = host.clock.elapsed();
    const { current } = peer;
    if (!isFresh(current, now) || (current!.isOwn && now - current!.at >= RENEWAL_MS))
      this.#call(host, device, peer, now);
    const session = peer.current;
    if (!isFresh(session, now)) return;
    peer.passedAt = now;
    peer.owesSince = undefined;
    if (inner) peer.askedSince ??= now;
    const [to, from] = [peer.publicKey, device.publicKey];
    const bytes = inner ? BYTES.data : BYTES.keepalive;
    this.#put(host, device, peer, { kind: 'data', to, from, session: session!.id, bytes, inner });
  }

  #call(host: FakeWireguard, device: FakeDevice, peer: FakePeer, now: number): void {
    peer.callingSince ??= now;
    if (now - peer.calledAt < CALL_MS) return;
    peer.calledAt = peer.passedAt = now;
    const [to, from] = [peer.publicKey, device.publicKey];
    const stampMs = host.clock.now();
    this.#put(host, device, peer, { kind: 'call', to, from, session: Symbol('session'), bytes: BYTES.call, stampMs });
  }

  #put(host: FakeWireguard, device: FakeDevice, peer: FakePeer, packet: Packet): void {
    if (!device.up || peer.endpoint === undefined) return;
    peer.sentBytes += packet.bytes;
    this.underlay.send(host, device.port, peer.endpoint, packet);
  }
}

function isFresh(session: Session | undefined, now: number): boolean {
  return session !== undefined && now - session.at < SESSION_MS;
}

/** A device has the address of VXLAN's packets; that of control connections is the host's, at the same number. */
function isAt(address: string, destination: string): boolean {
  return destination === address || destination === address.replace(/^198\.18\./, '198.19.');
}

function peerFor(device: FakeDevice, address: string): FakePeer | undefined {
  const ip = parseIp(address)!;
  return [...device.peers.values()].find(({ allowedIps }) => allowedIps.some((cidr) => contains(parseCidr(cidr)!, ip)));
}
