import { formatCidr, requireCidr } from '../../core/cidr.ts';
import { OverlaydError } from '../../core/errors.ts';
import { differingOption } from '../../core/network-options.ts';
import type { NetworkRequest } from '../../core/network-request.ts';
import type { NetworkRecord } from '../../core/records.ts';
import { hasFamily } from '../../core/subnets.ts';

/** What is asked of a network that is there must be what it is; what is not asked for does not matter. Throws `conflict`. */
export function requireSameNetwork(network: NetworkRecord, asked: NetworkRequest): void {
  const known = network.subnets.map(({ cidr }) => cidr);
  const differs = (what: string) =>
    new OverlaydError(
      'conflict',
      `network ${network.name} is there already ${what}; leave the option out, or choose another name`,
    );
  const other = asked.subnets.find((subnet) => !known.includes(formatCidr(requireCidr(subnet, 'subnet'))));
  if (other !== undefined) throw differs(`and has subnet ${known.join(', ')}, not ${other}`);
  const gateways = network.subnets.map(({ gateway }) => gateway);
  const gateway = asked.gateways.find((each) => !gateways.includes(each));
  if (gateway !== undefined) throw differs(`and has gateway ${gateways.join(', ')}, not ${gateway}`);
  const ranges = network.subnets.flatMap(({ ipRange }) => ipRange ?? []);
  const range = asked.ipRanges.find((each) => !ranges.includes(each));
  if (range !== undefined)
    throw differs(`and has ${ranges.length > 0 ? `range ${ranges.join(', ')}` : 'no range'}, not ${range}`);
  if (asked.ipv6 === true && !hasFamily(network, 6)) throw differs('and has no IPv6');
  if (asked.internal && !network.internal) throw differs('and is not --internal');
  const different = differingOption(asked.options, network.options);
  if (different !== undefined) throw differs(`with ${different}=${network.options[different] ?? '(unset)'}`);
}
