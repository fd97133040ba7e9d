/** Plans the host's own namespace: the filter, forwarding, the ends of the uplinks with what the host is there, and the service address. */

import { type Address, type Desired, HOST, LOOPBACK, type NamespaceState, type Op } from '../host-state.ts';
import { isIpv4 } from '../ip.ts';
import { hasFamily } from '../subnets.ts';
import { filterOps, withLoaded } from './filter.ts';
import { hostFilter } from './host-filter.ts';
import { asMade, linkOps } from './link.ts';
import { isUplink, namespaceOfUplink, uplinkOf } from './naming.ts';
import { linkOf } from './op-link.ts';
import { rowsOf, rowsOps } from './rows.ts';
import { HOST_OWNER, type Owner, type Steps } from './steps.ts';
import { everyUnreachable, serviceAddressOf, uplinkInHost, uplinkRows } from './wanted.ts';

/**
 * `made`: VNIs of uplinks that this plan makes. Without `seen` (the host was not looked at) only those are set up. An
 * uplink whose end is missing and that is not made here is left to its network's plan. What is of one network's uplink is
 * done on behalf of that network.
 */
export function planHost(
  desired: Desired,
  seen: NamespaceState | undefined,
  made: ReadonlySet<number>,
  provesAbsence: boolean,
  steps: Steps,
): void {
  if (seen) {
    const whole = provesAbsence && !desired.isPartial;
    const filter = hostFilter(desired, whole);
    const allowed = whole ? filter : withLoaded(filter, seen.filter);
    const reason = seen.filter ? 'update' : 'create';
    steps.add('guard', HOST_OWNER, reason, ...filterOps(HOST, allowed, seen.filter));
    if (!seen.forwarding && desired.uplinks.some(({ sealed }) => !sealed)) {
      const op: Op = { kind: 'set-sysctl', at: HOST, key: 'net.ipv4.ip_forward', value: '1' };
      steps.add('guard', HOST_OWNER, 'update', op);
    }
    if (!seen.forwarding6 && desired.uplinks.some((uplink) => !uplink.sealed && hasFamily(uplink, 6)))
      steps.add('guard', HOST_OWNER, 'update', ...forwardIpv6(seen));
  }
  const rows: ReturnType<typeof uplinkRows>[] = [];
  const names = new Set<string>();
  for (const uplink of desired.uplinks) {
    const link = uplinkInHost(uplink);
    names.add(link.name);
    const fresh = made.has(uplink.vni);
    const old = fresh ? asMade(link) : seen?.links.get(link.name);
    if (!old) continue;
    steps.add('set-up', ownerOf(link.name), fresh ? 'create' : 'update', ...linkOps(HOST, link, old, provesAbsence));
    rows.push(uplinkRows(uplink));
  }
  // With the address, not again and again: it is the host's own setting, and its administrator's to change.
  if (seen && desired.serviceAddress && !seen.addresses.some(({ link }) => link === LOOPBACK))
    steps.add('set-up', HOST_OWNER, 'create', everyUnreachable(HOST));
  const wanted = rows.flatMap(({ addresses }) => addresses);
  const last = provesAbsence ? lastAddresses(wanted, seen) : [];
  for (const address of last)
    steps.add('set-up', ownerOf(address.link), 'remove', { kind: 'delete-address', at: HOST, address });
  const anew = new Set([...[...made].map(uplinkOf), ...last.map(({ link }) => link)]);
  const stays = (link: string) => link === LOOPBACK || (isUplink(link) && !anew.has(link));
  const { sets, removals } = rowsOps(
    HOST,
    {
      addresses: [...(seen && desired.serviceAddress ? [serviceAddressOf(LOOPBACK)] : []), ...wanted],
      routes: rows.flatMap(({ routes }) => routes),
      neighbours: rows.flatMap(({ neighbours }) => neighbours),
      fdb: [],
    },
    rowsOf(seen, stays),
    { stays, made: anew },
  );
  for (const op of sets) steps.add('set-up', ownerOf(linkOf(op) ?? LOOPBACK), 'update', op);
  if (!provesAbsence) return;
  for (const op of removals) {
    const link = linkOf(op) ?? LOOPBACK;
    // Rows of a link that goes as a whole go with it.
    if (link === LOOPBACK || names.has(link)) steps.add('set-up', ownerOf(link), 'remove', op);
  }
  for (const { name, kind } of seen?.links.values() ?? []) {
    if (names.has(name) || kind !== 'veth') continue;
    steps.add('unlink', ownerOf(name), 'remove', { kind: 'delete-link', at: HOST, name });
  }
}

/**
 * What goes of uplinks that lose their last one of IPv4: with that the kernel takes away the link's routes and neighbours of
 * IPv4, which are written anew right after it.
 */
function lastAddresses(wanted: readonly Address[], seen: NamespaceState | undefined): Address[] {
  const ofUplinks = seen?.addresses.filter(({ link }) => isUplink(link)) ?? [];
  const hasIpv4 = (all: readonly Address[], of: string) =>
    all.some(({ link, address }) => link === of && isIpv4(address));
  const loses = (link: string) => hasIpv4(ofUplinks, link) && !hasIpv4(wanted, link);
  const stays = ({ link, address }: Address) => wanted.some((each) => each.link === link && each.address === address);
  return ofUplinks.filter((each) => loses(each.link) && !stays(each));
}

/** A host that forwards IPv6 takes itself for a router and listens to none, unless its links are told to. */
function forwardIpv6({ advertised = [] }: NamespaceState): Op[] {
  const set = (key: string, value: string): Op => ({ kind: 'set-sysctl', at: HOST, key, value });
  return [
    ...advertised.map((link) => set(`net/ipv6/conf/${link}/accept_ra`, '2')),
    set('net.ipv6.conf.all.forwarding', '1'),
  ];
}

function ownerOf(link: string): Owner {
  return link === LOOPBACK ? HOST_OWNER : { network: namespaceOfUplink(link), endpointId: undefined };
}
