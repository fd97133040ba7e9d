/**
 * Questions to upstream servers by UDP, several on one socket: opening and closing one takes longer than asking.
 *
 * Who wants to forge an answer without seeing the question has to guess its port and its id (RFC 5452, 9.2). Ports are
 * the kernel's random choice and short-lived: each question takes one of a few sockets by chance, and a socket is not
 * used any more after so many questions or so many seconds. Ids are random, and no id comes twice on a socket. The
 * sockets are connected: the kernel lets nothing in that another address sent.
 *
 * There is one guess only. A datagram that answers nothing asked ends its socket, and all that wait there turn to TCP,
 * which cannot be guessed. One that answers what has been answered or given up already is late or doubled, and ignored.
 */
import { randomInt } from 'node:crypto';
import type { Socket } from 'node:dgram';
import { judgeReply } from '../../core/dns/forward.ts';
import { putUint16, uint16 } from '../../core/dns/wire.ts';
import { type Door, ownDoor, type Server } from './door.ts';

/** `suspicious`: somebody else's answer came; ask by TCP. Undefined: no reply. */
export type UdpOutcome =
  | { readonly reply: Uint8Array; readonly verdict: 'answer' | 'truncated' | 'unwilling' }
  | 'suspicious'
  | undefined;

export interface SocketLimits {
  /** Sockets per server in use at a time. */
  readonly sockets: number;
  readonly questionsPerSocket: number;
  readonly socketLifeMs: number;
}

const LIMITS: SocketLimits = { sockets: 8, questionsPerSocket: 64, socketLifeMs: 5_000 };

export class UpstreamSockets {
  readonly #limits: SocketLimits;
  readonly #inUse = new Map<string, UpstreamSocket>();
  readonly door: Door;

  constructor(limits: Partial<SocketLimits> = {}, door: Door = ownDoor) {
    this.#limits = { ...LIMITS, ...limits };
    this.door = door;
  }

  /** Resolves undefined on any failure and when the signal aborts; the signal is the only time limit. */
  ask(server: Server, query: Uint8Array, signal: AbortSignal): Promise<UdpOutcome> {
    const place = `${server.address} ${server.port} ${randomInt(this.#limits.sockets)}`;
    let socket = this.#inUse.get(place);
    if (socket === undefined) {
      const opened = this.#open(server);
      if (opened === undefined) return Promise.resolve(undefined);
      socket = new UpstreamSocket(opened, server, this.#limits, () => this.#inUse.delete(place));
      // It may have failed while it was made: no descriptors left, no IPv6. The next question finds out anew.
      if (socket.retired) return Promise.resolve(undefined);
      this.#inUse.set(place, socket);
    }
    return socket.ask(query, signal);
  }

  #open(server: Server): Socket | undefined {
    try {
      return this.door.udp(server);
    } catch {
      return undefined;
    }
  }
}

interface Flight {
  readonly message: Uint8Array;
  readonly land: (outcome: UdpOutcome) => void;
}

class UpstreamSocket {
  readonly #socket: Socket;
  readonly #onRetired: () => void;
  readonly #life: NodeJS.Timeout;
  readonly #flights = new Map<number, Flight>();
  /** All ids so far, those in flight and those that are not any more. */
  readonly #ids = new Set<number>();
  #questionsLeft: number;
  #connected = false;
  #retired = false;

  constructor(socket: Socket, server: Server, limits: SocketLimits, onRetired: () => void) {
    this.#onRetired = onRetired;
    this.#questionsLeft = limits.questionsPerSocket;
    this.#socket = socket;
    this.#life = setTimeout(() => this.#retire(), limits.socketLifeMs).unref();
    this.#socket.on('error', () => this.#end(undefined));
    this.#socket.on('message', (reply) => this.#receive(reply));
    this.#socket.connect(server.port, server.address, (error?: unknown) => {
      if (error) return this.#end(undefined);
      this.#connected = true;
      for (const [id, { message }] of this.#flights) this.#send(id, message);
    });
    this.#socket.unref();
  }

  /** True when nobody may ask here any more. */
  get retired(): boolean {
    return this.#retired;
  }

  ask(query: Uint8Array, signal: AbortSignal): Promise<UdpOutcome> {
    if (signal.aborted) return Promise.resolve(undefined);
    const id = this.#freshId();
    const message = new Uint8Array(query);
    putUint16(message, 0, id);
    return new Promise((resolve) => {
      // Perhaps the way to the server, or our own address, is another one meanwhile: the next question finds out.
      const giveUp = () => {
        this.#retire();
        this.#land(id, undefined);
      };
      const land = (outcome: UdpOutcome) => {
        signal.removeEventListener('abort', giveUp);
        resolve(outcome);
      };
      this.#flights.set(id, { message, land });
      signal.addEventListener('abort', giveUp);
      if (this.#connected) this.#send(id, message);
      this.#questionsLeft -= 1;
      if (this.#questionsLeft === 0) this.#retire();
    });
  }

  #freshId(): number {
    let id = randomInt(0x10000);
    while (this.#ids.has(id)) id = randomInt(0x10000);
    this.#ids.add(id);
    return id;
  }

  #send(id: number, message: Uint8Array): void {
    this.#socket.send(message, (failed) => {
      if (!failed) return;
      this.#retire();
      this.#land(id, undefined);
    });
  }

  #receive(reply: Uint8Array): void {
    const id = reply.length < 2 ? -1 : uint16(reply, 0);
    const flight = this.#flights.get(id);
    if (flight === undefined && this.#ids.has(id)) return;
    const verdict = flight === undefined ? 'foreign' : judgeReply(flight.message, reply);
    if (verdict === 'foreign') this.#end('suspicious');
    else this.#land(id, { reply, verdict });
  }

  #land(id: number, outcome: UdpOutcome): void {
    const flight = this.#flights.get(id);
    if (flight === undefined) return;
    this.#flights.delete(id);
    flight.land(outcome);
    if (this.#retired && this.#flights.size === 0) this.#close();
  }

  /** All that wait get this outcome, and nobody asks here again. */
  #end(outcome: UdpOutcome): void {
    this.#retire();
    for (const id of [...this.#flights.keys()]) this.#land(id, outcome);
  }

  /** Nobody asks here again; those that wait go on waiting. */
  #retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    clearTimeout(this.#life);
    this.#onRetired();
    if (this.#flights.size === 0) this.#close();
  }

  #close(): void {
    this.#socket.close();
  }
}
