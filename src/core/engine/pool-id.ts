/**
 * What our IPAM driver calls a pool: `NETWORK/CIDR`, e.g. `web/10.0.1.0/24`, or `/CIDR` when it was asked for without the
 * network's name. The engine keeps it for as long as it has the network and names nothing else in later calls, so it has
 * to say by itself which network it is.
 */
import { parseCidr } from '../cidr.ts';

export interface PoolId {
  readonly network: string | undefined;
  /** The network's subnet, or a placeholder. */
  readonly cidr: string;
}

export function formatPoolId({ network, cidr }: PoolId): string {
  return `${network ?? ''}/${cidr}`;
}

/** Undefined when it is none of ours. */
export function parsePoolId(text: string): PoolId | undefined {
  const slash = text.indexOf('/');
  const cidr = text.slice(slash + 1);
  return slash >= 0 && parseCidr(cidr) ? { network: text.slice(0, slash) || undefined, cidr } : undefined;
}
