/** What makes a link as wanted when it is there but differs, or has just been made. */
import type { BridgeFlags, Link, LinkChange, Op, Place, PortFlags } from '../host-state.ts';

/** As a create leaves it: MAC and MTU right, down, in no bridge. Whether it has IPv6 is the namespace's default. */
export function asMade(wanted: Link): Link {
  return { ...wanted, up: false, ipv6: undefined, master: undefined, port: undefined };
}

/** While the view is not whole an MTU is not raised: a member may be missing that needs the smaller one. */
export function linkOps(at: Place, wanted: Link, seen: Link, provesAbsence: boolean): readonly Op[] {
  if (isRight(wanted, seen)) return NOTHING;
  const ops: Op[] = [];
  const { name } = wanted;
  const change: LinkChange = {
    ...(seen.mac === wanted.mac ? {} : { mac: wanted.mac }),
    ...(wanted.mtu < seen.mtu || (provesAbsence && wanted.mtu !== seen.mtu) ? { mtu: wanted.mtu } : {}),
    ...(wanted.master === undefined || seen.master === wanted.master ? {} : { master: wanted.master }),
    ...(wanted.bridge && !sameBridge(wanted.bridge, seen.bridge) ? { bridge: wanted.bridge } : {}),
  };
  if (Object.keys(change).length > 0) ops.push({ kind: 'set-link', at, name, set: change });
  const flags = seen.master === wanted.master ? seen.port : undefined;
  if (wanted.port && !sameFlags(wanted.port, flags)) ops.push({ kind: 'set-port', at, name, flags: wanted.port });
  const last: LinkChange = {
    ...(seen.up && hasIpv6(wanted, seen) ? {} : { noLinkLocal: true }),
    ...(hasIpv6(wanted, seen) ? {} : { ipv6: true }),
    ...(seen.up ? {} : { up: true }),
  };
  if (Object.keys(last).length > 0) ops.push({ kind: 'set-link', at, name, set: last });
  return ops;
}

const NOTHING: readonly Op[] = [];

function isRight(wanted: Link, seen: Link): boolean {
  return (
    seen.up &&
    seen.mtu === wanted.mtu &&
    seen.mac === wanted.mac &&
    hasIpv6(wanted, seen) &&
    (wanted.master === undefined || seen.master === wanted.master) &&
    (!wanted.bridge || sameBridge(wanted.bridge, seen.bridge)) &&
    (!wanted.port || sameFlags(wanted.port, seen.port))
  );
}

/** As far as it is asked for. */
function hasIpv6(wanted: Link, seen: Link): boolean {
  return wanted.ipv6 === undefined || seen.ipv6 === wanted.ipv6;
}

function sameBridge(a: BridgeFlags, b: BridgeFlags | undefined): boolean {
  return a.stp === b?.stp && a.multicastSnooping === b.multicastSnooping;
}

function sameFlags(a: PortFlags, b: PortFlags | undefined): boolean {
  return (
    a.learning === b?.learning &&
    a.flood === b.flood &&
    a.multicastFlood === b.multicastFlood &&
    a.broadcastFlood === b.broadcastFlood &&
    a.locked === b.locked &&
    a.hairpin === b.hairpin &&
    a.isolated === b.isolated &&
    a.neighbourSuppression === b.neighbourSuppression
  );
}

/** Whether a VXLAN device can stay: what differs here cannot be changed in place. */
export function isTunnel(wanted: Link, seen: Link): boolean {
  const [a, b] = [wanted.vxlan, seen.vxlan];
  return (
    seen.kind === wanted.kind &&
    a?.vni === b?.vni &&
    a?.local === b?.local &&
    a?.port === b?.port &&
    a?.socketAt === b?.socketAt &&
    a?.learning === b?.learning &&
    a?.proxy === b?.proxy
  );
}

/** Whether two veth ends are each other's, as far as is known: of one that was made and not seen since, no index is. */
export function isPair(a: Link, b: Link): boolean {
  if (a.kind === 'veth' && b.kind === 'veth' && (a.index === undefined || b.index === undefined)) return true;
  return a.kind === 'veth' && b.kind === 'veth' && a.peerIndex === b.index && b.peerIndex === a.index;
}
