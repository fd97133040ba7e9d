/**
 * How much of a service that anybody can reach one source may have. A source is an address, or a subnet
 * ({@link sourceOf}). It has so many connections at once, and a credit that connecting uses up, failing uses up faster, and
 * time gives back. Of all sources together there are so many connections at once. What is refused costs the service next to
 * nothing. All that is meant for those that the service does not know: what a connection cost comes back to a source that has
 * proved who it is, and for a while there is room for more of its connections, which others do not take up.
 */

import { canonical, formatCidr } from './cidr.ts';
import { parseIp } from './ip.ts';

export interface GateLimits {
  /** Connections at once, of one source and of all. */
  readonly perSource: number;
  readonly total: number;
  /** Of `total`, for sources that have proved who they are. Absent: none. */
  readonly reserved?: number;
  /** The most that a source can have to its credit; a connection costs 1. */
  readonly credit: number;
  readonly creditPerSecond: number;
}

interface Source {
  open: number;
  credit: number;
  /** When `credit` was that much. */
  at: number;
  provenUntil: number;
}

/** More are not remembered: of those without a connection the oldest are forgotten, and have full credit again. */
const MAX_SOURCES = 4_096;
const PROVEN_MS = 600_000;
/** So many times as many connections at once: a member asks several things, and all it asked comes at once after a stall. */
const PROVEN_MORE = 8;

/**
 * An address of IPv4, and of IPv6 the block of that prefix around it: a host takes what addresses it likes of its link's
 * subnet, which is a /64 as a rule (RFC 4291, 2.5.1).
 */
export function sourceOf(address: string, ipv6Prefix: number): string {
  const ip = parseIp(address);
  return ip?.family === 6 ? formatCidr(canonical({ ip, prefix: ipv6Prefix })) : address;
}

export class Gate {
  readonly #limits: GateLimits;
  /** The one that was there last is last. */
  readonly #sources = new Map<string, Source>();
  #open = 0;

  constructor(limits: GateLimits) {
    this.#limits = limits;
  }

  /** A connection. False: refused, and not counted. `now` in milliseconds, by a clock that is not set. */
  enter(name: string, now: number): boolean {
    const { perSource, reserved = 0, total } = this.#limits;
    const source = this.#source(name, now);
    const isProven = now < source.provenUntil;
    const [most, all] = isProven ? [perSource * PROVEN_MORE, total] : [perSource, total - reserved];
    if (this.#open >= all || source.open >= most || source.credit < 1) return false;
    source.open++;
    source.credit--;
    this.#open++;
    return true;
  }

  /** One that was let in has ended, or does not count any more. */
  leave(name: string): void {
    const source = this.#sources.get(name);
    if (!source || source.open === 0) return;
    source.open--;
    this.#open--;
  }

  /** One of its connections has proved who is there, and does not count any more. What it cost comes back. */
  prove(name: string, now: number): void {
    this.leave(name);
    const source = this.#source(name, now);
    source.credit = this.#limits.credit;
    source.provenUntil = now + PROVEN_MS;
  }

  /** Something that a source did costs so much. False when its credit is used up by it. */
  charge(name: string, cost: number, now: number): boolean {
    const source = this.#source(name, now);
    source.credit = Math.max(0, source.credit - cost);
    return source.credit >= 1;
  }

  #source(name: string, now: number): Source {
    const { credit, creditPerSecond } = this.#limits;
    const source = this.#sources.get(name) ?? { open: 0, credit, at: now, provenUntil: now };
    source.credit = Math.min(credit, source.credit + (Math.max(0, now - source.at) / 1_000) * creditPerSecond);
    source.at = now;
    this.#sources.delete(name);
    this.#sources.set(name, source);
    if (this.#sources.size > MAX_SOURCES) this.#forget();
    return source;
  }

  #forget(): void {
    for (const [name, { open }] of this.#sources) {
      if (this.#sources.size <= MAX_SOURCES) return;
      if (open === 0) this.#sources.delete(name);
    }
  }
}
