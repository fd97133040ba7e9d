/**
 * Where members see this host, which is behind NAT. The NAT may map it to another port for each of them; where it does not,
 * what one sees is what all others may call. So one is believed as long as it can be: the first by id of those that said
 * something lately. Pure.
 */
import type { Sight } from '../gossip/message.ts';
import { parseHostPort } from '../host-port.ts';
import { parseIp } from '../ip.ts';
import type { NodeRecord } from '../records.ts';

/** Of silence, after which another one is believed. */
const STALE_MS = 30_000;
const MOST_KEYS = 4;

interface Told {
  readonly at: number;
  readonly endpoints: ReadonlyMap<string, string>;
}

export class Sights {
  readonly #told = new Map<string, Told>();

  /** `at`: by the monotonic clock. True when something is seen elsewhere than before. */
  note(from: string, { keys }: Sight, at: number): boolean {
    const before = this.#told.get(from)?.endpoints;
    const sound = keys.slice(0, MOST_KEYS).filter(({ endpoint }) => isEndpoint(endpoint));
    const endpoints = new Map(sound.map(({ publicKey, endpoint }) => [publicKey, endpoint]));
    this.#told.set(from, { at, endpoints });
    return sound.some(({ publicKey, endpoint }) => before?.get(publicKey) !== endpoint);
  }

  /** `host:port`; undefined: nobody says. Members behind NAT themselves see it otherwise than the others. */
  seenAt(publicKey: string, nodes: Iterable<NodeRecord>, at: number): string | undefined {
    const members = [...nodes].filter(({ left, nat }) => !left && !nat).map(({ id }) => id);
    for (const id of members.sort()) {
      const told = this.#told.get(id);
      const endpoint = told && at - told.at <= STALE_MS ? told.endpoints.get(publicKey) : undefined;
      if (endpoint !== undefined) return endpoint;
    }
    return undefined;
  }
}

function isEndpoint(text: string): boolean {
  const { host, port } = parseHostPort(text) ?? {};
  return host !== undefined && port !== undefined && parseIp(host) !== undefined;
}
