/**
 * Ports of this host that lead to containers, for those whose tool does not publish by itself. A person publishes a name of a
 * network, which an endpoint has now or later, of this host or, where the host has an address on the network, of another
 * one; a tool publishes for the endpoint that it asks for.
 */
import { kindOf } from './cidr.ts';
import { PROTOCOLS, type PublishedPort } from './container.ts';
import { OverlaydError } from './errors.ts';
import { FAMILIES, type Family, familyOfAddress, formatIp, parseIp } from './ip.ts';
import type { EndpointAddress, EndpointRecord } from './records.ts';

/** `port` is the container's. */
export interface PortMapping extends PublishedPort {
  /** The host's. Undefined: all that it has, of both families. */
  readonly hostAddress?: string | undefined;
  readonly hostPort: number;
}

export interface Publication extends PortMapping {
  readonly networkId: string;
  /** Name or alias of an endpoint. */
  readonly name: string;
}

/** As typed: the network by name or id. */
export type AskedPublication = Omit<Publication, 'networkId'> & { readonly network: string };

/** One family's way to one container. */
export interface DesiredPublication extends PortMapping {
  readonly family: Family;
  /** The container's. */
  readonly address: string;
  /** Of one on another host: by which link of this one, and from which of its addresses, it is called. */
  readonly away?: { readonly link: string; readonly source: string } | undefined;
}

/** Each is rules of its own in the host's table. */
export const MOST_PORTS = 1_024;

/** What one container's tool may ask for. Throws `invalid-argument`. */
export function refuseTooMany(ports: number): void {
  if (ports <= MOST_PORTS) return;
  throw invalid(`${ports} ports are asked for; a container may have ${MOST_PORTS} published: publish a smaller range`);
}

const SHAPE = /^(?:(\[[^[\]]+\]|[\d.]+):)?(\d{1,5}):([^/:\s]+)\/([^/:\s]+):(\d{1,5})(?:\/(\w+))?$/;

/** `[IP:]PORT:NETWORK/NAME:PORT[/PROTOCOL]`. Throws `invalid-argument`. */
export function parsePublication(text: string): AskedPublication {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  const [, host, from = '', network = '', name = '', to = '', protocol = 'tcp'] = SHAPE.exec(text) ?? [];
  const hostPort = portOf(from);
  const port = portOf(to);
  if (hostPort === undefined || port === undefined) {
    throw invalid(
      `${shown} is not [IP:]PORT:NETWORK/NAME:PORT[/tcp|udp|sctp], like 8080:web/api:80 or 192.0.2.1:53:web/dns:53/udp, with ports from 1 to 65535`,
    );
  }
  const known = PROTOCOLS.find((each) => each === protocol.toLowerCase());
  if (!known) throw invalid(`${shown}: the protocol is ${PROTOCOLS.join(', ')}, like ${port}/udp`);
  const ip = host === undefined ? undefined : parseIp(host.replace(/^\[|\]$/g, ''));
  if (host !== undefined && !ip) throw invalid(`${shown}: ${host} is no address`);
  // As Docker takes it: all addresses.
  const isAny = ip?.value === 0n;
  return { protocol: known, ...(ip && !isAny && { hostAddress: formatIp(ip) }), hostPort, network, name, port };
}

/** `[IP:]PORT[/PROTOCOL]`, or a whole publication, of which that is a part. Throws `invalid-argument`. */
export function parseHostEnd(text: string): Omit<PortMapping, 'port'> {
  if (text.includes('/') && SHAPE.test(text)) return parsePublication(text);
  const [end = '', protocol] = text.split('/');
  try {
    return parsePublication(`${end}:n/n:1${protocol === undefined ? '' : `/${protocol}`}`);
  } catch {
    throw invalid(
      `${JSON.stringify(text.slice(0, 80))} is not [IP:]PORT[/tcp|udp|sctp], like 8080 or 192.0.2.1:53/udp`,
    );
  }
}

/** What of the host it takes, e.g. `192.0.2.1:53/udp`, or `8080/tcp` at all of its addresses. */
export function formatHostEnd({ hostAddress, hostPort, protocol }: Omit<PortMapping, 'port'>): string {
  if (hostAddress === undefined) return `${hostPort}/${protocol}`;
  return `${hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress}:${hostPort}/${protocol}`;
}

/** Throws `invalid-argument` for an address by which nobody gets to a container. */
export function refuseLoopback(mapping: Omit<PortMapping, 'port'>): void {
  const ip = parseIp(mapping.hostAddress ?? '');
  if (!ip || kindOf(ip) !== 'loopback') return;
  throw invalid(
    `${formatHostEnd(mapping)}: what is sent to ${mapping.hostAddress} stays on the host and gets to no container; publish at another address of the host, or at all (without IP)`,
  );
}

/** Both would take the same packets. */
export function isSameHostEnd(a: Omit<PortMapping, 'port'>, b: Omit<PortMapping, 'port'>): boolean {
  const isEverywhere = a.hostAddress === undefined || b.hostAddress === undefined;
  return a.hostPort === b.hostPort && a.protocol === b.protocol && (isEverywhere || a.hostAddress === b.hostAddress);
}

export function goesBy({ name, aliases }: Pick<EndpointRecord, 'name' | 'aliases'>, wanted: string): boolean {
  const lower = wanted.toLowerCase();
  return [name, ...aliases].some((each) => each.toLowerCase() === lower);
}

/** An endpoint that has a way out, and where it has one. */
export interface Publishable {
  readonly record: EndpointRecord;
  readonly published?: readonly PortMapping[] | undefined;
  readonly addresses: readonly EndpointAddress[];
  /** Whether its container's default route goes through it, and so what it answers. */
  readonly routed: Readonly<Record<Family, boolean>>;
  /** Of one on another host: this one's link to its network, and its own addresses there. */
  readonly away?: { readonly link: string; readonly source: Readonly<Record<Family, string | undefined>> } | undefined;
}

/**
 * A tool tells of a container's ports at each of its endpoints: they lead to the one by which it answers. Of what takes the same
 * packets an endpoint of this host goes before others, and then the oldest.
 */
export function publicationsOf(
  endpoints: readonly Publishable[],
  publications: readonly Publication[],
): DesiredPublication[] {
  const taken: DesiredPublication[] = [];
  // There may be thousands, and this is asked with every change of the host's: only those of one port are compared.
  const byPort = new Map<string, DesiredPublication[]>();
  const byAge = [...endpoints].sort(
    (a, b) =>
      Number(a.away !== undefined) - Number(b.away !== undefined) ||
      a.record.createdAt - b.record.createdAt ||
      (a.record.id < b.record.id ? -1 : 1),
  );
  for (const { record, published = [], addresses, routed, away } of byAge) {
    const named = publications.filter(({ networkId, name }) => networkId === record.networkId && goesBy(record, name));
    for (const { hostAddress, hostPort, protocol, port } of [...published, ...named]) {
      for (const family of FAMILIES) {
        const address = addresses.find(({ ip }) => familyOfAddress(ip) === family)?.ip;
        if (address === undefined || !routed[family]) continue;
        if (hostAddress !== undefined && familyOfAddress(hostAddress) !== family) continue;
        const source = away?.source[family];
        const by = away && source !== undefined && { away: { link: away.link, source } };
        const wanted = { family, hostAddress, hostPort, protocol, address, port, ...by };
        const same = mapped(byPort, `${family} ${protocol} ${hostPort}`);
        if (same.some((each) => isSameHostEnd(each, wanted))) continue;
        same.push(wanted);
        taken.push(wanted);
      }
    }
  }
  return taken;
}

function mapped<T>(map: Map<string, T[]>, key: string): T[] {
  const held = map.get(key) ?? [];
  map.set(key, held);
  return held;
}

function portOf(text: string): number | undefined {
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function invalid(message: string): OverlaydError {
  return new OverlaydError('invalid-argument', message);
}
