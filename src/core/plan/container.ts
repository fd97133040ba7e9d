/**
 * The inside of a container: our link with its addresses, its ways to the network's other subnets, and the default routes
 * that it is to carry. Nothing else in there is ours: other addresses of the link and routes of other protocols stay, a
 * default route of the user's own wins.
 */
import {
  type Address,
  DEFAULT,
  type DesiredNetwork,
  type DesiredPort,
  type NamespaceState,
  type Op,
  ROUTE_PROTOCOL,
} from '../host-state.ts';
import { FAMILIES, isIpv4 } from '../ip.ts';
import { asMade, linkOps } from './link.ts';
import { containerLink, linkLocalAddress, ours } from './wanted.ts';

/** `made`: the link has just been made. `seen` undefined: it was not looked at, and nothing is assumed of it. */
export function containerOps(
  port: DesiredPort,
  network: DesiredNetwork,
  seen: NamespaceState | undefined,
  made: boolean,
  provesAbsence: boolean,
): Op[] {
  const at = port.endpoint.container.path;
  const wanted = containerLink(port, network);
  const link = made ? asMade(wanted) : seen?.links.get(wanted.name);
  if (!link) return [];
  const ops = [...linkOps(at, wanted, link, provesAbsence)];
  const wasUp = link.up;
  const addresses: Address[] = port.addresses.map((address) => ({ link: wanted.name, ...address }));
  if (wanted.ipv6) addresses.push(linkLocalAddress(wanted.name, wanted.mac));
  for (const address of addresses) {
    const there = made ? undefined : seen?.addresses.find((each) => isSame(each, address));
    // One that is not in use does not become so by being set once more.
    if (there?.unused) ops.push({ kind: 'delete-address', at, address });
    if (!there || there.unused) ops.push({ kind: 'add-address', at, address });
  }
  for (const family of FAMILIES) {
    const defaults = seen?.routes.filter(({ destination }) => destination === DEFAULT[family]) ?? [];
    const foreign = defaults.some(({ protocol }) => protocol !== ROUTE_PROTOCOL);
    const mine = defaults.filter((route) => route.protocol === ROUTE_PROTOCOL && route.link === wanted.name);
    const gateway = port.defaultGateways.find((each) => isIpv4(each) === (family === 4));
    if (gateway !== undefined && !foreign) {
      const right = wasUp && !made && mine.some((route) => route.gateway === gateway);
      if (!right) ops.push({ kind: 'set-route', at, route: ours(DEFAULT[family], gateway, wanted.name) });
    } else if (!made && provesAbsence) {
      for (const route of mine) ops.push({ kind: 'delete-route', at, route });
    }
  }
  return [...ops, ...onLinkOps(port, wasUp && !made ? seen : undefined)];
}

/**
 * Ways to the network's other subnets. Whoever made one to the same destination, an engine or the user, is let be. `seen`
 * undefined: there are none.
 */
function onLinkOps({ endpoint, onLink }: DesiredPort, seen: NamespaceState | undefined): Op[] {
  const there = new Set(seen?.routes.map(({ destination }) => destination));
  const missing = onLink.filter((cidr) => !there.has(cidr));
  const at = endpoint.container.path;
  return missing.map((cidr) => ({ kind: 'set-route', at, route: ours(cidr, undefined, endpoint.ifname) }));
}

function isSame(a: Address, b: Address): boolean {
  return a.link === b.link && a.address === b.address && a.prefix === b.prefix;
}

/** Of the way out below: an engine's own has the kernel's 1,024, and could not be made beside one of the same. */
const METRIC_BEHIND = 2_048;

/**
 * An engine makes no way out of IPv6 for a container that publishes ports: it takes whatever it is told of one for its own
 * business, and would publish elsewhere or not at all. Whatever way there is stays the only one.
 */
function wayOutOps({ defaultGateways, endpoint }: DesiredPort, { routes }: NamespaceState): Op[] {
  const gateway = defaultGateways.find((each) => !isIpv4(each));
  if (gateway === undefined || routes.some(({ destination }) => destination === DEFAULT[6])) return [];
  const route = { ...ours(DEFAULT[6], gateway, endpoint.ifname), metric: METRIC_BEHIND };
  return [{ kind: 'set-route', at: endpoint.container.path, route }];
}

/**
 * The same of what an engine set up: the MTU of our link is ours, ways to subnets that the network got since, and the way out of
 * IPv6 where there is none; whatever else is not.
 */
export function ofEngineOps(
  port: DesiredPort,
  network: DesiredNetwork,
  seen: NamespaceState | undefined,
  provesAbsence: boolean,
): Op[] {
  const { name, mac, mtu } = containerLink(port, network);
  const link = seen?.links.get(name);
  if (link?.mac !== mac) return [];
  const ways = link.up && seen ? [...onLinkOps(port, seen), ...wayOutOps(port, seen)] : [];
  if (link.mtu === mtu || (link.mtu < mtu && !provesAbsence)) return ways;
  return [{ kind: 'set-link', at: port.endpoint.container.path, name, set: { mtu } }, ...ways];
}

/** Whether the inside of a container is as it should be; the port's other end is not looked at. */
export function isContainerRight(port: DesiredPort, network: DesiredNetwork, seen: NamespaceState): boolean {
  const there = seen.links.has(port.endpoint.ifname);
  return there && containerOps(port, network, seen, false, true).length === 0;
}
