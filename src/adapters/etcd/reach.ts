/** Whether hosts are there at all, told by their kernels alone. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { parseHttpUrl } from '../../core/host-port.ts';
import type { Clock } from '../../ports/runtime.ts';
import { knock } from '../knock.ts';

export interface ReachDeps {
  readonly clock: Pick<Clock, 'elapsed'>;
  /** IP addresses of a name. */
  readonly addressesOf?: (name: string) => Promise<readonly string[]>;
}

/** A name's addresses rarely change. */
const LOOK_MS = 60_000;

export class Reach {
  readonly #deps: Required<ReachDeps>;
  /** By name, as last looked up. */
  readonly #addresses = new Map<string, readonly string[]>();
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor({ clock, addressesOf = lookUp }: ReachDeps) {
    this.#deps = { clock, addressesOf };
  }

  /**
   * While all is well: looks up where the endpoints with names are, now and then. When one is silent that cannot be found out: its
   * name server may be as well.
   */
  remember(endpoints: readonly string[]): void {
    const { addressesOf, clock } = this.#deps;
    if (clock.elapsed() - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = clock.elapsed();
    for (const endpoint of endpoints) {
      const { host = '' } = parseHttpUrl(endpoint) ?? {};
      if (isIP(host) !== 0) continue;
      addressesOf(host).then(
        (addresses) => this.#addresses.set(host, addresses),
        // One that is not known any more has no place that is; a name server that does not answer says nothing of that.
        (error: NodeJS.ErrnoException) => error.code === 'ENOTFOUND' && this.#addresses.delete(host),
      );
    }
  }

  /**
   * Whether the endpoint takes a connection of TCP. No program there has a part in that, however busy it is: one that is silent for
   * longer than a packet takes there and back has no power, or is cut off. Does not resolve as long as it is; false when the signal
   * aborts. One with a name takes connections where one of its addresses does, and where none is known. Never rejects.
   */
  readonly takesConnections = async (endpoint: string, signal: AbortSignal): Promise<boolean> => {
    const { host = '', port = 2379 } = parseHttpUrl(endpoint) ?? {};
    const addresses = isIP(host) === 0 ? (this.#addresses.get(host) ?? []) : [host];
    if (signal.aborted || addresses.length === 0) return !signal.aborted;
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const knocks = addresses.map(async (address) => {
      if ((await knock({ host: address, port }, either)) !== 'taken') throw new Error(`${address} does not take it`);
      return true;
    });
    try {
      return await Promise.any(knocks);
    } catch {
      return false;
    } finally {
      over.abort();
    }
  };
}

async function lookUp(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}
