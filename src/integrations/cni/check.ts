/** CHECK: whether an attachment is as the runtime was told, in the container's namespace as the kernel has it. */
import type { AttachmentReport } from '../../agent/attachments/attachments.ts';
import { OverlaydError } from '../../core/errors.ts';
import { DEFAULT, type NamespaceState } from '../../core/host-state.ts';
import { familyOfAddress } from '../../core/ip.ts';
import { type Fields, listOf, textOf } from './fields.ts';
import { CNI, cniError } from './problem.ts';

/** Throws what differs. */
export function checkAttachment(report: AttachmentReport, inside: NamespaceState, previous: Fields | undefined): void {
  if (previous === undefined) {
    throw cniError(CNI.config, 'CHECK needs what ADD answered, as "prevResult" in the CNI configuration');
  }
  const { ifname, mac, addresses, defaultGateways } = report;
  const link = inside.links.get(ifname);
  if (link === undefined) throw differs(`interface ${ifname} is gone`);
  if (!link.up) throw differs(`interface ${ifname} is down`);
  if (link.mac !== mac) throw differs(`interface ${ifname} has the MAC address ${link.mac}, not ${mac}`);
  for (const { address, prefix } of addresses) {
    const there = inside.addresses.some((each) => each.link === ifname && each.address === address && !each.unused);
    if (!there) throw differs(`interface ${ifname} lacks its address ${address}/${prefix}`);
  }
  for (const gateway of defaultGateways) {
    // A way out that somebody else made is theirs to look after.
    const there = inside.routes.some(({ destination }) => destination === DEFAULT[familyOfAddress(gateway)]);
    if (!there) throw differs(`there is no default route, which was by ${gateway}`);
  }
  const interfaces = listOf(previous, 'interfaces', 'prevResult.').map((each) => textOf(each, 'name'));
  const own = new Set(addresses.map(({ address, prefix }) => `${address}/${prefix}`));
  for (const ip of listOf(previous, 'ips', 'prevResult.')) {
    const { interface: index } = ip;
    const address = textOf(ip, 'address') ?? '';
    if (typeof index === 'number' && interfaces[index] === ifname && !own.has(address)) {
      throw differs(`address ${address} is not this endpoint's any more: it has ${[...own].join(', ')}`);
    }
  }
}

function differs(what: string): OverlaydError {
  return new OverlaydError('data-path-failed', `${what}; the agent repairs what is its own, see \`overlayd status\``);
}
