/** Names of services, `_http._tcp.web` (RFC 2782), taken apart. */

const FORM = /^(?:(_[^.]+)\.)?(_tcp|_udp|_sctp)\.(.+)$/;

export interface SplitService {
  /** Undefined: the name is `_tcp.web`. */
  readonly service: string | undefined;
  readonly protocol: string;
  readonly host: string;
}

/** Undefined when the name (lower case) is none. */
export function splitService(name: string): SplitService | undefined {
  if (!name.startsWith('_')) return undefined;
  const [, service, protocol, host] = FORM.exec(name) ?? [];
  return protocol === undefined || host === undefined ? undefined : { service, protocol, host };
}
