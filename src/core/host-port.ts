/**
 * `host:port` as text, and URLs of it. An address of IPv6 stands in brackets where a port follows, or might
 * (RFC 3986, 3.2.2). Whatever puts such text together or takes it apart does it here.
 */
import { formatIp, parseIp } from './ip.ts';

export interface HostPort {
  /** A name, or an address, without brackets; one of IPv6 in canonical text. */
  readonly host: string;
  /** Undefined: the text has none. */
  readonly port: number | undefined;
}

export interface HttpUrl extends HostPort {
  readonly scheme: 'http' | 'https';
}

export function formatHostPort(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

/**
 * `192.0.2.1:2377`, `host.example:2377`, `[2001:db8::1]:2377`, or each without a port; of IPv6 then without brackets as well.
 * Undefined when the text is none of these, or the port is not 1 to 65535. A name is not looked at closely.
 */
export function parseHostPort(text: string): HostPort | undefined {
  const whole = parseIp(text);
  if (whole?.family === 6) return { host: formatIp(whole), port: undefined };
  const match = /^(?:\[([^[\]]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const [, inBrackets, bare = '', digits] = match;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  if (inBrackets === undefined) return { host: bare, port };
  const ip = parseIp(inBrackets);
  return ip?.family === 6 ? { host: formatIp(ip), port } : undefined;
}

export function formatHttpUrl({ scheme, host, port }: HttpUrl): string {
  return `${scheme}://${port === undefined ? bracketed(host) : formatHostPort(host, port)}`;
}

/** Of nothing but scheme, host and port. Undefined when the text is none. */
export function parseHttpUrl(text: string): HttpUrl | undefined {
  const [, scheme, rest = ''] = /^(https?):\/\/(.*?)\/?$/i.exec(text) ?? [];
  // Here an address of IPv6 has brackets always.
  const place = parseIp(rest)?.family === 6 ? undefined : parseHostPort(rest);
  return scheme === undefined || place === undefined
    ? undefined
    : { scheme: scheme.toLowerCase() as HttpUrl['scheme'], ...place };
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
