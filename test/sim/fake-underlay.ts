/**
 * UDP between simulated hosts: a datagram arrives at once, or not at all. Before some hosts stands a router with source NAT
 * (RFC 4787): it lets in what answers, and nothing else.
 */
import { formatHostPort, parseHostPort } from '../../src/core/host-port.ts';
import type { Clock, Random } from '../../src/ports/runtime.ts';

export interface Station<Packet> {
  readonly address: string;
  readonly router: FakeRouter | undefined;
  /** `from`: as it is seen here. */
  receive(port: number, from: string, packet: Packet): void;
}

/**
 * How a port inside becomes one outside. `cone`: the same one for all destinations (endpoint-independent mapping); `symmetric`:
 * another one for each.
 */
export type NatKind = 'cone' | 'symmetric';

/** Without an answer a flow is forgotten after the first, else after the second (Linux's defaults). */
const FLOW_MS = [30_000, 120_000] as const;

interface Flow {
  readonly station: Station<never>;
  readonly inside: number;
  readonly outside: number;
  readonly to: string;
  at: number;
  isAnswered: boolean;
}

export class FakeRouter {
  address: string;
  kind: NatKind;
  /** It is on. */
  isOn = true;
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #random: Pick<Random, 'next'>;
  #flows: Flow[] = [];

  constructor(address: string, kind: NatKind, { clock, random }: { clock: Clock; random: Random }) {
    this.address = address;
    this.kind = kind;
    this.#clock = clock;
    this.#random = random;
  }

  /** As a restart does. */
  forget(): void {
    this.#flows = [];
  }

  changeAddress(address: string): void {
    this.address = address;
    this.forget();
  }

  /** Where it is seen outside. */
  translate(station: Station<never>, inside: number, to: string): string {
    this.#tidy();
    const own = this.#flows.filter((flow) => flow.station === station && flow.inside === inside);
    const same = own.find((flow) => flow.to === to);
    const outside = same?.outside ?? (this.kind === 'cone' ? own[0]?.outside : undefined) ?? this.#free(inside);
    if (same) same.at = this.#clock.elapsed();
    else this.#flows.push({ station, inside, outside, to, at: this.#clock.elapsed(), isAnswered: false });
    return formatHostPort(this.address, outside);
  }

  /** Whom what comes to that port is for; undefined: nobody asked for it. */
  admit(outside: number, from: string): { readonly station: Station<never>; readonly port: number } | undefined {
    this.#tidy();
    const flow = this.#flows.find((each) => each.outside === outside && each.to === from);
    if (!flow) return undefined;
    flow.at = this.#clock.elapsed();
    flow.isAnswered = true;
    return { station: flow.station, port: flow.inside };
  }

  #free(wanted: number): number {
    const taken = new Set(this.#flows.map(({ outside }) => outside));
    let port = this.kind === 'cone' ? wanted : 0;
    while (port === 0 || taken.has(port)) port = 1_024 + Math.floor(this.#random.next() * 60_000);
    return port;
  }

  #tidy(): void {
    const now = this.#clock.elapsed();
    this.#flows = this.#flows.filter(({ at, isAnswered }) => now - at < FLOW_MS[isAnswered ? 1 : 0]);
  }
}

export class FakeUnderlay<Packet, Host extends Station<Packet>> {
  readonly hosts = new Set<Host>();
  readonly routers = new Set<FakeRouter>();

  /** Whether datagrams of one host get to another one's address; tests replace it to cut a line. */
  reaches: (from: Host, to: Host) => boolean = () => true;

  send(from: Host, port: number, to: string, packet: Packet): void {
    const { host: address, port: toPort } = parseHostPort(to)!;
    if (!this.hosts.has(from) || from.router?.isOn === false) return;
    const source = from.router?.translate(from, port, to) ?? formatHostPort(from.address, port);
    const at = this.#find(address, toPort!, source, from.router);
    if (at && this.hosts.has(at.host) && this.reaches(from, at.host)) at.host.receive(at.port, source, packet);
  }

  #find(address: string, port: number, source: string, own: FakeRouter | undefined) {
    for (const router of this.routers) {
      if (router.address !== address) continue;
      // A router sends nothing back to where it came from, as most do not.
      const inside = router === own || !router.isOn ? undefined : router.admit(port, source);
      return inside && { host: inside.station as unknown as Host, port: inside.port };
    }
    for (const host of this.hosts) if (!host.router && host.address === address) return { host, port };
    return undefined;
  }
}
