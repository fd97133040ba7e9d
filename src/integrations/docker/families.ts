/** Which families a network that is there has, and what is said to an engine that wants others of it. */
import { OverlaydError } from '../../core/errors.ts';
import type { Family } from '../../core/ip.ts';
import type { NetworkRecord, SubnetSpec } from '../../core/records.ts';
import { hasFamily, subnetsOf } from '../../core/subnets.ts';

/** The first subnet of that family. Throws `conflict`. */
export function firstOfFamily(network: NetworkRecord, family: Family): SubnetSpec {
  const [first] = subnetsOf(network.subnets, family);
  if (first) return first;
  throw new OverlaydError('conflict', `network ${network.name} is there already and has no ${LACKS[family](network)}`);
}

/** `wanted`: the engine is to have the network with that family. Throws `conflict`. */
export function requireFamily(network: NetworkRecord, family: Family, wanted: boolean): void {
  if (wanted) firstOfFamily(network, family);
  else if (hasFamily(network, family)) {
    throw new OverlaydError('conflict', `network ${network.name} is there already and has ${HAS[family]}`);
  }
}

const LACKS = {
  4: () => 'IPv4; add --ipv4=false, which Docker 28 and later have',
  6: ({ name }: NetworkRecord) =>
    `IPv6; leave --ipv6 out, or give it some before (overlayd network subnet add ${name} CIDR)`,
} as const;

const HAS = {
  4: 'IPv4; leave --ipv4=false out',
  6: 'IPv6; add --ipv6 (in Compose: enable_ipv6: true)',
} as const;
