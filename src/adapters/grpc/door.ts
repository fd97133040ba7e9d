/**
 * The listening socket of a gRPC server that anybody can reach. It lets in what a `Gate` allows and closes the rest
 * before any TLS; a connection that has not settled in time (its client has not proved who it is, or is not done) is
 * closed, and so is one that sends more than it can have to say. The server itself gets connections, and listens nowhere.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { OverlaydError } from '../../core/errors.ts';
import { Gate, type GateLimits, sourceOf } from '../../core/gate.ts';
import { formatHostPort } from '../../core/host-port.ts';
import { Sparing } from '../../core/sparing.ts';
import type { Logger } from '../../ports/runtime.ts';

export interface DoorLimits extends GateLimits {
  /** Of IPv6, what counts as one source. */
  readonly ipv6Prefix: 64 | 128;
  /** How long a connection may take to settle. */
  readonly settleMs: number;
  /** What it may have sent by then. */
  readonly bytes: number;
}

interface Guest {
  readonly socket: Socket;
  readonly source: string;
  timer: NodeJS.Timeout | undefined;
}

/** How often it is looked at what a connection has sent. */
const LOOK_MS = 250;
/** What a connection costs that had to be closed. */
const ABUSE_COST = 20;
const MINUTE_MS = 60_000;

export class Door {
  readonly #limits: DoorLimits;
  readonly #logger: Logger;
  readonly #gate: Gate;
  readonly #server: Server;
  /** By {@link peerName} of the other end; those that have settled too. */
  readonly #guests = new Map<string, Guest>();
  readonly #refusals = new Sparing({ limit: 1, windowMs: MINUTE_MS });

  /** `receive`: takes a connection over. */
  constructor(limits: DoorLimits, deps: { readonly logger: Logger; readonly receive: (socket: Socket) => void }) {
    this.#limits = limits;
    this.#logger = deps.logger;
    this.#gate = new Gate(limits);
    this.#server = createServer({ noDelay: true }, (socket) => this.#admit(socket, deps.receive));
  }

  /** Returns the port. `option` names the setting that chooses another place. Throws `config-invalid`. */
  async open(where: { readonly host: string; readonly port: number; readonly option: string }): Promise<number> {
    const { host, port, option } = where;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject).listen({ host, port }, resolve);
    try {
      await promise;
    } catch (error) {
      throw cannotListen(formatHostPort(host, port), option, error as Error);
    }
    // One connection that cannot be accepted (no descriptors) is no reason to end.
    this.#server.removeListener('error', reject).on('error', (error) => this.#logger.warn({ error }, 'not accepted'));
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  /** The connection of that name is one of those that may stay as long as they like. `isKnown`: of somebody who is welcome. */
  settle(peer: string, isKnown = false): void {
    const guest = this.#guests.get(peer);
    if (!guest?.timer) return;
    clearInterval(guest.timer);
    guest.timer = undefined;
    if (isKnown) this.#gate.prove(guest.source, performance.now());
    else this.#gate.leave(guest.source);
  }

  /** Something that the other end did costs so much; when its credit is used up, what it has open is closed. */
  charge(peer: string, cost: number): void {
    const source = this.#guests.get(peer)?.source;
    if (source === undefined || this.#gate.charge(source, cost, performance.now())) return;
    for (const guest of this.#guests.values()) {
      // What is being answered still gets there.
      if (guest.source === source) setTimeout(() => guest.socket.destroy(), LOOK_MS).unref();
    }
  }

  /** Whether the other end has credit left. */
  mayAsk(peer: string): boolean {
    const source = this.#guests.get(peer)?.source;
    return source !== undefined && this.#gate.charge(source, 0, performance.now());
  }

  /** Closes everything, at once. */
  close(): void {
    this.#server.close();
    for (const { socket } of this.#guests.values()) socket.destroy();
  }

  #admit(socket: Socket, receive: (socket: Socket) => void): void {
    const { remoteAddress, remotePort } = socket;
    const source = sourceOf(plain(remoteAddress ?? ''), this.#limits.ipv6Prefix);
    if (remoteAddress === undefined || !this.#gate.enter(source, performance.now())) {
      socket.resetAndDestroy();
      this.#report(source);
      return;
    }
    const peer = peerName(remoteAddress, remotePort ?? 0);
    const guest: Guest = { socket, source, timer: this.#watch(socket, source) };
    this.#guests.set(peer, guest);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.settle(peer);
      if (this.#guests.get(peer) === guest) this.#guests.delete(peer);
    });
    receive(socket);
  }

  #watch(socket: Socket, source: string): NodeJS.Timeout {
    const end = performance.now() + this.#limits.settleMs;
    return setInterval(() => {
      const excess = socket.bytesRead > this.#limits.bytes;
      if (!excess && performance.now() < end) return;
      if (excess) this.#gate.charge(source, ABUSE_COST, performance.now());
      socket.destroy();
    }, LOOK_MS).unref();
  }

  #report(source: string): void {
    const unsaid = this.#refusals.take(performance.now());
    if (unsaid === undefined) return;
    const { port } = (this.#server.address() ?? {}) as { port?: number };
    this.#logger.warn(
      { from: source, port, refusedBefore: unsaid },
      'connections refused: too many of one source, or of all, at once; is somebody trying tokens or flooding the port?',
    );
  }
}

/** What a connection is known by. */
export function peerName(address: string, port: number): string {
  return formatHostPort(plain(address), port);
}

/** A socket of both families tells addresses of IPv4 as IPv6's (RFC 4291, 2.5.5.2). */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=[\d.]+$)/, '');
}

export function cannotListen(target: string, option: string, cause: Error): OverlaydError {
  const problem = /EADDRINUSE/.test(cause.message)
    ? `another program uses it; stop that one, or choose with ${option}`
    : `${cause.message}; check ${option}`;
  return new OverlaydError('config-invalid', `cannot listen on ${target}: ${problem}`, { cause });
}
