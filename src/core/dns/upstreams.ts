/**
 * Name servers that a network's questions are forwarded to, as they are written: `192.0.2.53`, `192.0.2.53:5353`,
 * `2001:db8::53`, `[2001:db8::53]:5353`.
 */
import { kindOf } from '../cidr.ts';
import { OverlaydError } from '../errors.ts';
import { formatHostPort, parseHostPort } from '../host-port.ts';
import { SERVICE_ADDRESS } from '../host-state.ts';
import { formatIp, type Ip, parseIp, refuseMapped } from '../ip.ts';

export interface Upstream {
  readonly ip: Ip;
  /** Undefined: 53. */
  readonly port: number | undefined;
}

/** As many as the C library asks. */
export const MOST_UPSTREAMS = 3;
const DNS_PORT = 53;

/** Undefined when it is not one address, with a port or without. */
export function parseUpstream(text: string): Upstream | undefined {
  const { host = '', port } = parseHostPort(text) ?? {};
  const ip = parseIp(host);
  return ip && { ip, port: port === DNS_PORT ? undefined : port };
}

function formatUpstream({ ip, port }: Upstream): string {
  const address = formatIp(ip);
  return port === undefined ? address : formatHostPort(address, port);
}

/** A list as the option has it, in canonical text; undefined when it is none. */
export function parseUpstreams(list: string): readonly string[] | undefined {
  const servers: string[] = [];
  for (const text of list.split(',')) {
    const server = parseUpstream(text.trim());
    if (server === undefined) return undefined;
    servers.push(formatUpstream(server));
  }
  return servers.length <= MOST_UPSTREAMS && new Set(servers).size === servers.length ? servers : undefined;
}

/**
 * Throws `invalid-argument` for an address at which no name server can be; `option` is how the option was written. Loopback
 * is allowed: each host then asks a server of its own.
 */
export function refuseUselessUpstreams(servers: readonly string[], option: string): void {
  for (const server of servers) {
    const { ip } = parseUpstream(server)!;
    const address = formatIp(ip);
    refuseMapped(ip, address, `option ${option}`);
    const why = uselessness(ip, address);
    if (why === undefined) continue;
    throw new OverlaydError(
      'invalid-argument',
      `option ${option}: ${address} ${why}; give the address of a name server that every host reaches`,
    );
  }
}

function uselessness(ip: Ip, address: string): string | undefined {
  if (address === SERVICE_ADDRESS) return 'is where overlayd itself answers';
  const kind = kindOf(ip);
  if (kind === 'unspecified') return 'stands for no host';
  if (kind === 'multicast' || address === '255.255.255.255') return 'stands for many hosts';
  // Those of IPv4 are a cloud's, which every host reaches.
  return kind === 'link-local' && ip.family === 6 ? 'means another host on every link' : undefined;
}
