/** What networks hold of the address space besides their subnets: the name servers of their own, which hosts ask. */
import { blockOf, formatCidr, overlaps } from '../cidr.ts';
import { parseUpstream } from '../dns/upstreams.ts';
import { OverlaydError } from '../errors.ts';
import { formatIp } from '../ip.ts';
import { networkSettings } from '../network-options.ts';
import type { NetworkRecord } from '../records.ts';
import type { Holder } from './subnet.ts';

type WithUpstreams = Pick<NetworkRecord, 'name' | 'options'>;

export function upstreamHolders(networks: Iterable<WithUpstreams>): Holder[] {
  return [...networks].flatMap((network) =>
    networkSettings(network).upstreams.map((server): Holder => {
      const { ip } = parseUpstream(server)!;
      return { block: blockOf(ip), who: `a name server of network ${network.name}`, kind: 'address' };
    }),
  );
}

/** Throws `invalid-argument` for a name server of the network that lies in another one: no host asks there. */
export function refuseCoveredUpstreams(network: WithUpstreams, holders: readonly Holder[]): void {
  for (const { block } of upstreamHolders([network])) {
    const covered = holders.find((holder) => holder.kind === 'network' && overlaps(holder.block, block));
    if (covered === undefined) continue;
    throw new OverlaydError(
      'invalid-argument',
      `option dns: ${formatIp(block.ip)} lies in ${formatCidr(covered.block)} of ${covered.who}, and hosts ask no container; give the address of a name server outside of all networks`,
    );
  }
}
