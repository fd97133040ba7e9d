/**
 * The inside of a container: our link with its address, and the default route if it is to carry it. Nothing else in
 * there is ours: other addresses of the link and routes of other protocols stay, a default route of the user's own wins.
 */
import { type DesiredNetwork, type DesiredPort, type NamespaceState, type Op, ROUTE_PROTOCOL } from '../host-state.ts';
import { asMade, linkOps } from './link.ts';
import { containerLink, ours } from './wanted.ts';

/** `made`: the link has just been made. `seen` undefined: it was not looked at, and nothing is assumed of it. */
export function containerOps(
  port: DesiredPort,
  network: DesiredNetwork,
  seen: NamespaceState | undefined,
  made: boolean,
  complete: boolean,
): Op[] {
  const at = port.endpoint.container.path;
  const wanted = containerLink(port, network);
  const link = made ? asMade(wanted) : seen?.links.get(wanted.name);
  if (!link) return [];
  const ops = [...linkOps(at, wanted, link, complete)];
  const wasUp = link.up;
  const { address, prefix } = port;
  const held =
    !made &&
    seen?.addresses.some((each) => each.link === wanted.name && each.address === address && each.prefix === prefix);
  if (!held) ops.push({ kind: 'add-address', at, address: { link: wanted.name, address, prefix } });
  const defaults = seen?.routes.filter(({ destination }) => destination === 'default') ?? [];
  const foreign = defaults.some(({ protocol }) => protocol !== ROUTE_PROTOCOL);
  const mine = defaults.filter((route) => route.protocol === ROUTE_PROTOCOL && route.link === wanted.name);
  const gateway = port.defaultGateway;
  if (gateway !== undefined && !foreign) {
    const right = wasUp && !made && mine.some((route) => route.gateway === gateway);
    if (!right) ops.push({ kind: 'set-route', at, route: ours('default', gateway, wanted.name) });
  } else if (!made && complete) {
    for (const route of mine) ops.push({ kind: 'delete-route', at, route });
  }
  return ops;
}

/** Whether the inside of a container is as it should be; the port's other end is not looked at. */
export function isContainerRight(port: DesiredPort, network: DesiredNetwork, seen: NamespaceState): boolean {
  const there = seen.links.has(port.endpoint.ifname);
  return there && containerOps(port, network, seen, false, true).length === 0;
}
