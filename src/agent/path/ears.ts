/** Where questions with a network's number come in and leave: one place in each network of this host that other hosts are on as well. */
import { BRIDGE, TUNNEL } from '../../core/host-state.ts';
import { PROBE_SOURCE } from '../../core/path/network-probe.ts';
import { PROBE_PORT } from '../../core/path/probe.ts';
import { namespaceOf, vniOf } from '../../core/plan/naming.ts';
import type { NetworkSocket, OpenNetworkSocket } from '../../ports/path.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface EarsDeps {
  readonly open: OpenNetworkSocket;
  readonly clock: Pick<Clock, 'elapsed'>;
  /** By the network with that number. */
  readonly message: (vni: number, data: Uint8Array) => void;
}

const RETRY_MS = 5_000;
const OPENED_AT_ONCE = 8;

export class Ears {
  readonly #deps: EarsDeps;
  readonly #open = new Map<number, { readonly socket: NetworkSocket; readonly since: number }>();
  /** What still holds its namespace. */
  readonly #closing = new Map<number, Promise<void>>();
  /** Not before that moment again. */
  readonly #triedAt = new Map<number, number>();

  constructor(deps: EarsDeps) {
    this.#deps = deps;
  }

  /** In these networks and no others: a socket would hold what is left of a namespace. */
  keep(vnis: ReadonlySet<number>): void {
    for (const vni of this.#open.keys()) if (!vnis.has(vni)) this.#close(vni);
    for (const vni of this.#triedAt.keys()) if (!vnis.has(vni)) this.#triedAt.delete(vni);
    // Each is a step into a namespace: an agent that starts with hundreds has other things to do as well.
    const missing = [...vnis].filter((vni) => !this.#open.has(vni) && this.#mayTry(vni));
    for (const vni of missing.slice(0, OPENED_AT_ONCE)) this.#tryOpen(vni);
  }

  /** Resolves when nothing of them is held. Of those that are there then they are opened again. */
  async letGo(namespaces: readonly string[]): Promise<void> {
    const vnis = namespaces.map(vniOf);
    for (const vni of vnis) this.#close(vni);
    await Promise.all(vnis.map((vni) => this.#closing.get(vni)));
  }

  isOpen(vni: number): boolean {
    return this.#open.has(vni);
  }

  /** Since when it hears, by the monotonic clock, in the network's links as they are now; undefined: not now, and it is opened anew. */
  listensSince(vni: number): number | undefined {
    const place = this.#open.get(vni);
    if (place?.socket.isCurrent()) return place.since;
    if (place) {
      this.#close(vni);
      this.#tryOpen(vni);
    }
    return undefined;
  }

  /** Also by a device that has just taken the place of another one. */
  send(vni: number, frame: Uint8Array): void {
    if (this.#open.get(vni)?.socket.send(frame) !== false) return;
    if (this.listensSince(vni) === undefined) this.#open.get(vni)?.socket.send(frame);
  }

  async close(): Promise<void> {
    for (const vni of this.#open.keys()) this.#close(vni);
    await Promise.all(this.#closing.values());
  }

  #mayTry(vni: number): boolean {
    return this.#deps.clock.elapsed() - (this.#triedAt.get(vni) ?? Number.NEGATIVE_INFINITY) >= RETRY_MS;
  }

  #tryOpen(vni: number): void {
    const { clock, message, open } = this.#deps;
    if (!this.#mayTry(vni)) return;
    this.#triedAt.set(vni, clock.elapsed());
    try {
      const on = {
        port: PROBE_PORT,
        // Any other source is a container's, which sent to the gateway.
        message: (data: Uint8Array, from: string) => from === PROBE_SOURCE && message(vni, data),
      };
      const socket = open(namespaceOf(vni), { out: TUNNEL, in: BRIDGE }, on);
      this.#open.set(vni, { socket, since: clock.elapsed() });
      this.#triedAt.delete(vni);
    } catch {
      // Its links are being made, or what keeps them from it is told by who makes them.
    }
  }

  #close(vni: number): void {
    const { socket } = this.#open.get(vni) ?? {};
    if (!socket) return;
    this.#open.delete(vni);
    const closing = Promise.all([this.#closing.get(vni), socket.close()]).then(() => {
      if (this.#closing.get(vni) === closing) this.#closing.delete(vni);
    });
    this.#closing.set(vni, closing);
  }
}
