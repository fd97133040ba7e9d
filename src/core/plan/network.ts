/** Plans one network's namespace with its ports. */
import { isPlumbedByEngine } from '../attachment.ts';
import { isHandedOver, type LocalEndpoint } from '../container.ts';
import { interfaceSettings } from '../endpoint-options.ts';
import { serviceWay } from '../engine/service-route.ts';
import {
  type Desired,
  type DesiredNetwork,
  type DesiredPort,
  HOST,
  type Link,
  type NamespaceState,
  type Observed,
  type Op,
  TUNNEL,
  UPLINK,
} from '../host-state.ts';
import { isIpv4 } from '../ip.ts';
import type { Filter } from '../packet-filter.ts';
import { hasFamily } from '../subnets.ts';
import { containerOps, ofEngineOps } from './container.ts';
import { asLoaded, filterOps, leasesOf, networkFilter, withLoaded } from './filter.ts';
import { asMade, isPair, isTunnel, linkOps } from './link.ts';
import { isDead } from './namespace.ts';
import { isPortLink, uplinkMacs, uplinkOf } from './naming.ts';
import { networkRows } from './network-rows.ts';
import { type PortChange, portChange } from './port-change.ts';
import { rowsOf, rowsOps } from './rows.ts';
import { planServices, sparingDetour } from './service.ts';
import type { Owner, Steps } from './steps.ts';
import {
  bridgeLink,
  containerLink,
  everyUnreachable,
  hasUplink,
  isMulticast,
  portLink,
  type Rows,
  tunnelLink,
  uplinkInside,
} from './wanted.ts';

export interface NetworkPlan {
  /** The uplink is made anew: its end in the host is bare. */
  readonly uplinkMade: boolean;
  /** Of the namespace, when all is done; undefined: nothing is to be done, or more than the plan says may be there. */
  readonly outcome: NamespaceState | undefined;
  /** Of the namespace, in which nothing is to be done; undefined: something is, or more than is wanted may be there. */
  readonly settled: NamespaceState | undefined;
  readonly gone: readonly LocalEndpoint[];
}

export function planNetwork(
  network: DesiredNetwork,
  desired: Desired,
  observed: Observed,
  provesAbsence: boolean,
  steps: Steps,
): NetworkPlan {
  const at = network.namespace;
  const owner: Owner = { network: at, endpointId: undefined };
  const seen = observed.networks.get(at);
  if (isDead(at, observed)) steps.add('discard', owner, 'update', { kind: 'delete-namespace', name: at });
  // Without an id it stays invisible to events, and the first link that is made there gives it a wrong one for good.
  if (!seen || observed.namespaces?.get(at) === 'none') {
    steps.add('guard', owner, 'create', { kind: 'add-namespace', name: at, id: network.vni });
  }
  const ipv6 = hasFamily(network, 6);
  if (!seen?.forwarding || (ipv6 && !seen.forwarding6))
    steps.add('set-up', owner, seen ? 'update' : 'create', ...sysctls(at, ipv6));

  const change = changeSince(seen, network, observed);
  const isGone = ({ link, endpoint }: DesiredPort) =>
    seen?.links.get(link)?.kind !== 'veth' && observed.containers.get(endpoint.container.identity) === 'gone';
  const gone = (change?.come ?? network.ports).filter(isGone);
  const ports = gone.length === 0 ? network.ports : network.ports.filter((port) => !isGone(port));

  const filter = networkFilter(network, ports);
  const allowed = provesAbsence ? filter : withLoaded(filter, seen?.filter);
  for (const op of filterOps(at, allowed, sparingDetour(seen?.filter, network, provesAbsence))) {
    steps.add(op.kind === 'set-filter' ? 'shield' : 'set-up', owner, seen?.filter ? 'update' : 'create', op);
  }

  const fabric = planFabric(network, observed, provesAbsence, steps, owner);
  const services = planServices(network, ports, { seen: seen?.services, provesAbsence }, steps, owner);
  const wanted = new Map(fabric.wanted.map((link) => [link.name, link]));
  const made = new Set(fabric.made);
  // Of all others it is known that they are right.
  const asked = !change ? ports : gone.length === 0 ? change.come : change.come.filter((port) => !isGone(port));
  for (const port of asked) {
    const link = portLink(port, network);
    wanted.set(link.name, link);
    if (!planPort(port, network, observed, provesAbsence, steps)) continue;
    made.add(link.name);
    // What was meant for an owner before must not reach this one.
    if (!network.internal) steps.add('connect', ownerOf(port, at), 'create', forget(addressesOf(port), 'comes'));
  }

  const unwanted = change ? linksOf(seen, change.gone) : (seen?.links.values() ?? []);
  if (provesAbsence) {
    for (const { name, kind } of unwanted) {
      if (wanted.has(name) || !isOfOurKinds(kind)) continue;
      steps.add('unlink', owner, 'remove', { kind: 'delete-link', at, name });
      planForgetting(name, seen, owner, steps);
    }
  }

  // Of a thousand links hardly ever one is asked for.
  let byLink: ReadonlyMap<string, DesiredPort> | undefined;
  const ownerOfLink = (name: string) => {
    byLink ??= new Map(asked.map((port) => [port.link, port]));
    const port = byLink.get(name) ?? (isPortLink(name) ? ports.find(({ link }) => link === name) : undefined);
    return port ? ownerOf(port, at) : owner;
  };
  const changed = new Set<string>();
  for (const link of wanted.values()) {
    const old = made.has(link.name) ? undefined : seen?.links.get(link.name);
    const ops = linkOps(at, link, old ?? asMade(link), provesAbsence);
    if (ops.length === 0) continue;
    changed.add(link.name);
    steps.add('set-up', ownerOfLink(link.name), old ? 'update' : 'create', ...ops);
  }

  const rows = networkRows(network, ports, desired);
  const leaving = change && new Set(change.gone.map(({ link }) => link));
  const isWanted = (link: string) => wanted.has(link) || (leaving && isPortLink(link) && !leaving.has(link));
  const stays = (link: string) => isWanted(link) === true && !made.has(link);
  const { sets, removals } = rowsOps(at, rows, rowsOf(seen, stays), { stays, made });
  const reason = seen ? 'update' : 'create';
  for (const op of sets) {
    if (op.kind === 'set-fdb') steps.add('connect', ownerOfLink(op.row.link), reason, op);
    else if (op.kind === 'set-rows' && op.rows.kind === 'fdb') steps.add('connect', owner, reason, op);
    else steps.add('set-up', owner, reason, op);
  }
  const whole = provesAbsence && !network.isPartial;
  if (whole) steps.add('connect', owner, 'remove', ...removals);

  for (const port of asked) {
    const { container, engine } = port.endpoint;
    const isHandedToEngine = isPlumbedByEngine(port.endpoint);
    const inside = observed.containers.get(container.identity);
    const state = inside === 'gone' ? undefined : inside;
    const fresh = made.has(port.link);
    // Not looked into, or nothing to be looked at any more.
    if (state === undefined && !fresh) continue;
    if (isHandedToEngine && isHandedOver(container)) continue;
    // What an engine moves into a container, it sets up there. It does not do so a second time, nor later than that.
    const isEngines = isHandedToEngine && !fresh;
    const ops = isEngines
      ? ofEngineOps(port, network, state, provesAbsence)
      : containerOps(port, network, state, fresh, provesAbsence);
    if (fresh && !isHandedToEngine) {
      for (const setting of interfaceSettings(port.endpoint.options, port.endpoint.ifname))
        ops.push({ kind: 'set-sysctl', at: container.path, ...setting });
    }
    // The engine set this way up with the link that is gone.
    if (engine && fresh && desired.serviceAddress && port.addresses.some(({ address }) => isIpv4(address))) {
      ops.push({ kind: 'set-route', at: container.path, route: serviceWay(engine, port.endpoint.ifname) });
    }
    steps.add('connect', ownerOf(port, at), fresh ? 'create' : 'update', ...ops);
  }
  const isRight = !steps.has(at);
  const settled = whole && seen && isRight ? settledOf(seen, rows, filter, services) : undefined;
  const forwarding6 = ipv6 || seen?.forwarding6 === true;
  const links = () => linksAfter(wanted.values(), { made, changed, unwanted: change && unwanted }, seen);
  const outcome: NamespaceState | undefined =
    whole && !isRight
      ? { forwarding: true, forwarding6, links: links(), ...rows, filter: asLoaded(filter), services }
      : undefined;
  const right = settled ?? outcome;
  if (right && gone.length === 0) rightStates.set(right, { ports, ...linksOfAll(network) });
  return { uplinkMade: made.has(UPLINK), outcome, settled, gone: gone.map(({ endpoint }) => endpoint) };
}

/** What was seen holds the same as what is wanted, of which the next plan knows in what it differs. */
function settledOf(seen: NamespaceState, { neighbours, fdb }: Rows, filter: Filter, services?: Filter): NamespaceState {
  return { ...seen, neighbours, fdb, filter: asLoaded(filter), services };
}

/**
 * Of a network that was planned whole: what is not wanted is gone, but for what is none of ours. `unwanted`: what alone goes
 * of that which was seen.
 */
function linksAfter(
  wanted: Iterable<Link>,
  {
    made,
    changed,
    unwanted,
  }: {
    readonly made: ReadonlySet<string>;
    readonly changed: ReadonlySet<string>;
    readonly unwanted: Iterable<Link> | undefined;
  },
  seen: NamespaceState | undefined,
): ReadonlyMap<string, Link> {
  const links = new Map<string, Link>(unwanted && seen?.links);
  for (const { name } of unwanted ?? []) links.delete(name);
  if (!unwanted) for (const [name, link] of seen?.links ?? []) if (!isOfOurKinds(link.kind)) links.set(name, link);
  for (const link of wanted) {
    const old = made.has(link.name) ? undefined : seen?.links.get(link.name);
    links.set(link.name, old && changed.has(link.name) ? { ...old, ...link } : (old ?? link));
  }
  return links;
}

/** For what a state of a namespace is right; nothing of ours is there besides. */
interface Right {
  readonly ports: readonly DesiredPort[];
  readonly mtu: number;
  readonly hasUplink: boolean;
  readonly isMulticast: boolean;
}

/** Of what all links depend, and which there are besides those of ports. */
function linksOfAll(network: DesiredNetwork): Omit<Right, 'ports'> {
  return { mtu: network.mtu, hasUplink: hasUplink(network), isMulticast: isMulticast(network) };
}

/** A state is never changed, only replaced. */
const rightStates = new WeakMap<NamespaceState, Right>();

/** Which ports are others than those for which the state is right; undefined: each has to be looked at. */
function changeSince(
  seen: NamespaceState | undefined,
  network: DesiredNetwork,
  { containers }: Observed,
): PortChange | undefined {
  const right = seen && rightStates.get(seen);
  if (!right) return undefined;
  const { mtu, hasUplink: isOpen, isMulticast: isMany } = linksOfAll(network);
  if (right.mtu !== mtu || right.hasUplink !== isOpen || right.isMulticast !== isMany) return undefined;
  const change = portChange(right.ports, network.ports);
  // What was looked into may tell something of a port that is as it was.
  if (!change || containers.size > change.come.length) return undefined;
  const insides = new Set(change.come.map(({ endpoint }) => endpoint.container.identity));
  return [...containers.keys()].every((identity) => insides.has(identity)) ? change : undefined;
}

function linksOf(seen: NamespaceState | undefined, ports: readonly DesiredPort[]): readonly Link[] {
  return ports.flatMap(({ link }) => seen?.links.get(link) ?? []);
}

/** Other kinds are the kernel's own, such as fallback tunnels. */
function isOfOurKinds(kind: string): boolean {
  return kind === 'veth' || kind === 'vxlan' || kind === 'bridge';
}

/**
 * IPv6 is off in a network that has none; and so is, in any, the detour of bridged frames through the IP filters of a namespace that
 * has none (`br_netfilter`). A kernel without either has no such key, which is as well. Forwarding comes last: it is what
 * is looked for.
 */
function sysctls(at: string, ipv6: boolean): Op[] {
  return [
    { kind: 'set-sysctl', at, key: 'net.ipv6.conf.all.disable_ipv6', value: ipv6 ? '0' : '1' },
    ...(ipv6 ? [{ kind: 'set-sysctl' as const, at, key: 'net.ipv6.conf.all.forwarding', value: '1' }] : []),
    ...['arp', 'ip', 'ip6'].map(
      (family): Op => ({ kind: 'set-sysctl', at, key: `net.bridge.bridge-nf-call-${family}tables`, value: '0' }),
    ),
    everyUnreachable(at),
    { kind: 'set-sysctl', at, key: 'net.ipv4.ip_forward', value: '1' },
  ];
}

/** Bridge, tunnel and uplink. */
function planFabric(network: DesiredNetwork, observed: Observed, provesAbsence: boolean, steps: Steps, owner: Owner) {
  const at = network.namespace;
  const seen = observed.networks.get(at);
  const wanted: Link[] = [bridgeLink(network), tunnelLink(network)];
  const made: string[] = [];
  // Making anew takes away first, so it waits for a whole view: but for what would let out in clear what is encrypted.
  const leaks = (old: Link) => network.tunnel.socketAt !== HOST && old.vxlan?.socketAt === HOST;
  const check = (link: Link, fits: (old: Link) => boolean, step: 'make' | 'set-up', create: Op) => {
    const old = seen?.links.get(link.name);
    if (old && (fits(old) || !(provesAbsence || leaks(old)))) return;
    if (old) steps.add('unlink', owner, 'update', { kind: 'delete-link', at, name: link.name });
    steps.add(step, owner, old ? 'update' : 'create', create);
    made.push(link.name);
  };
  for (const link of wanted) {
    const { name, mac, mtu, vxlan } = link;
    if (vxlan)
      check(link, (old) => isTunnel(link, old), 'make', {
        ...{ kind: 'add-vxlan', at, name, mac, mtu },
        vxlan: { ...vxlan, ...network.tunnel },
      });
    else check(link, (old) => old.kind === 'bridge', 'set-up', { kind: 'add-bridge', at, name, mac, mtu });
  }
  if (hasUplink(network)) {
    const link = uplinkInside(network);
    const name = uplinkOf(network.vni);
    const inHost = observed.host?.links.get(name);
    wanted.push(link);
    const fits = (old: Link) => old.kind === 'veth' && (!observed.host || (!!inHost && isPair(old, inHost)));
    const old = seen?.links.get(UPLINK);
    if (provesAbsence && inHost && !(old && fits(old)))
      steps.add('unlink', owner, 'update', { kind: 'delete-link', at: HOST, name });
    check(link, fits, 'make', {
      kind: 'add-veth',
      at: HOST,
      mtu: network.mtu,
      end: { name, mac: uplinkMacs(network.vni).host },
      peer: { at, name: UPLINK, mac: link.mac },
    });
  }
  return { wanted, made };
}

/**
 * True when the port's veth is to be made. The other end of one that an engine asked for is where the engine put it,
 * and not looked for; one that still waits for the engine is made from the host's side, which is where it waits.
 */
function planPort(
  port: DesiredPort,
  network: DesiredNetwork,
  observed: Observed,
  provesAbsence: boolean,
  steps: Steps,
): boolean {
  const at = network.namespace;
  const old = observed.networks.get(at)?.links.get(port.link);
  if (old && !provesAbsence) return false;
  const { container } = port.endpoint;
  const inside = observed.containers.get(container.identity);
  if (old?.kind === 'veth') {
    if (isPlumbedByEngine(port.endpoint) || inside === undefined || inside === 'gone') return false;
    const end = inside.links.get(port.endpoint.ifname);
    if (end && isPair(old, end)) return false;
  }
  const owner = ownerOf(port, at);
  if (old) steps.add('unlink', owner, 'update', { kind: 'delete-link', at, name: port.link });
  // Ours, of a port that somebody moved elsewhere: both go. While the view is not whole it may be a former endpoint's.
  const left = provesAbsence && !old && inside !== 'gone' ? inside?.links.get(port.endpoint.ifname) : undefined;
  if (left?.kind === 'veth' && left.mac === port.mac)
    steps.add('unlink', owner, 'update', { kind: 'delete-link', at: container.path, name: left.name });
  const end = { name: port.link, mac: portLink(port, network).mac };
  const { name, mac } = containerLink(port, network);
  const { mtu, gsoMaxBytes } = network;
  const reason = old ? 'update' : 'create';
  if (isHandedOver(container)) {
    steps.add('make', owner, reason, {
      kind: 'add-veth',
      at: HOST,
      mtu,
      end: { name, mac, gsoMaxBytes },
      peer: { at, ...end },
    });
  } else {
    steps.add('set-up', owner, reason, {
      kind: 'add-veth',
      at,
      mtu,
      end,
      peer: { at: container.path, name, mac, gsoMaxBytes },
    });
  }
  return true;
}

function ownerOf(port: DesiredPort, network: string): Owner {
  return { network, endpointId: port.endpoint.record.id };
}

/** With a port goes what the host remembers of its addresses: the next owner may be on another host. */
export function planForgetting(link: string, seen: NamespaceState | undefined, owner: Owner, steps: Steps): void {
  const addresses = seen?.links.has(UPLINK) ? leasesOf(seen.filter, link) : [];
  if (addresses.length > 0) steps.add('forget', owner, 'remove', forget(addresses, 'went'));
}

function addressesOf({ addresses }: DesiredPort): string[] {
  return addresses.map(({ address }) => address);
}

function forget(addresses: readonly string[], owner: 'comes' | 'went'): Op {
  return { kind: 'forget-flows', at: HOST, addresses, owner };
}

/**
 * Takes a whole namespace apart. Links go first: a socket someone still has in there would keep them alive. `dead`: the
 * name leads to no namespace.
 */
export function planRemoval(name: string, seen: NamespaceState | 'dead' | undefined, steps: Steps): void {
  const owner: Owner = { network: name, endpointId: undefined };
  const known = seen === 'dead' ? [] : seen && [...seen.links.values()];
  const links = known?.filter(({ kind }) => kind === 'veth' || kind === 'vxlan') ?? [
    { name: TUNNEL },
    { name: UPLINK },
  ];
  for (const link of links) {
    steps.add('unlink', owner, 'remove', { kind: 'delete-link', at: name, name: link.name });
    if (seen !== 'dead') planForgetting(link.name, seen, owner, steps);
  }
  steps.add('discard', owner, 'remove', { kind: 'delete-namespace', name });
}
