/** Names below `in-addr.arpa` (RFC 1035, 3.5) as the address blocks they stand for. */
import type { Cidr } from '../ip.ts';

export const REVERSE_SUFFIX = 'in-addr.arpa';

export interface ReverseName {
  /** /8, /16, /24 or, for a whole address, /32. */
  readonly block: Cidr;
  /** True when there are labels that are no part of an address in front of it. */
  readonly below: boolean;
}

/** Undefined when the name (lower case) stands for no block. */
export function parseReverse(name: string): ReverseName | undefined {
  if (!name.endsWith(`.${REVERSE_SUFFIX}`)) return undefined;
  const labels = name.slice(0, -REVERSE_SUFFIX.length - 1).split('.');
  let address = 0;
  let octets = 0;
  for (let i = labels.length - 1; i >= 0 && octets < 4; i--, octets++) {
    const label = labels[i] as string;
    if (!/^(0|[1-9]\d{0,2})$/.test(label) || Number(label) > 255) break;
    address += Number(label) * 2 ** (24 - 8 * octets);
  }
  if (octets === 0) return undefined;
  return { block: { address, prefix: 8 * octets }, below: labels.length > octets };
}
