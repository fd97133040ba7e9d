/**
 * Members reach each other by one address each, and tunnels by one as well: so those of all members are of one family. A host
 * of both families may take part in a cluster of either.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { type Family, familyOf } from '../../core/ip.ts';
import type { NodeRecord } from '../../core/records.ts';
import { hasFamily } from '../../core/subnets.ts';

type Addresses = Pick<NodeRecord, 'advertiseAddress' | 'vtep'>;

/** Throws `invalid-address` when a host would not share a family with one of the members, naming both. */
export function refuseOtherFamily(host: Addresses, members: readonly (Addresses & Pick<NodeRecord, 'name'>)[]): void {
  for (const { option, key, use } of ADDRESSES) {
    const family = familyOf(host[key]);
    const other = members.find((member) => familyOf(member[key]) !== family);
    if (!other) continue;
    const theirs = familyOf(other[key]) ?? 4;
    throw new OverlaydError(
      'invalid-address',
      `${use} ${host[key]}, which is IPv${family}, and this cluster does so by IPv${theirs} (${other.name} at ${other[key]}): all members need addresses of one family; join with ${option} and an IPv${theirs} address of this host`,
    );
  }
}

const ADDRESSES = [
  { option: '--advertise-addr', key: 'advertiseAddress', use: 'members would reach this host at' },
  { option: '--data-path-addr', key: 'vtep', use: "containers' traffic would reach this host at" },
] as const;

/** Whether any of a host's addresses is of that family. */
export function hasAddressOf({ advertiseAddress, vtep }: Addresses, family: Family): boolean {
  return [advertiseAddress, vtep].some((address) => familyOf(address) === family);
}

/** Whether members or networks have addresses of IPv6. */
export function usesIpv6(view: Pick<ClusterView, 'nodes' | 'networks'> | undefined): boolean {
  if (!view) return false;
  const isMember = (node: NodeRecord) => !node.left && hasAddressOf(node, 6);
  return [...view.nodes()].some(isMember) || [...view.networks()].some((network) => hasFamily(network, 6));
}
