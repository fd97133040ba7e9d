/**
 * Names and MACs of what is made in the kernel. All are functions of ids, so that every run of the agent finds the
 * work of the one before, and so that they say whose they are. Links: 15 characters at most.
 */
import { ALL_ADDRESSES, macOf, parseIp } from '../ip.ts';
import type { NetworkRecord, SubnetSpec } from '../records.ts';

const NAMESPACE = /^ovl-[1-9]\d*$/;
const UPLINK = /^ovl[1-9]\d*$/;
const PORT = /^e[0-9a-f]{12}$/;
const HANDOVER = /^ovc[0-9a-f]{12}$/;

export function namespaceOf(vni: number): string {
  return `ovl-${vni}`;
}

/** Of the network's namespace. */
export function vniOf(namespace: string): number {
  return Number(namespace.slice('ovl-'.length));
}

export function isNetworkNamespace(name: string): boolean {
  return NAMESPACE.test(name);
}

/** The uplink's end in the host. */
export function uplinkOf(vni: number): string {
  return `ovl${vni}`;
}

/** The namespace of the network whose uplink it is. */
export function namespaceOfUplink(name: string): string {
  return `ovl-${name.slice('ovl'.length)}`;
}

export function isUplink(name: string): boolean {
  return UPLINK.test(name);
}

/** A port's end in the network's namespace. */
export function portLinkOf(endpointId: string): string {
  return `e${endpointId.slice(0, 12)}`;
}

export function isPortLink(name: string): boolean {
  return PORT.test(name);
}

/** The container's end of a port, where it waits in the host for the engine that asked for it. */
export function handoverLinkOf(endpointId: string): string {
  return `ovc${endpointId.slice(0, 12)}`;
}

export function isHandoverLink(name: string): boolean {
  return HANDOVER.test(name);
}

/** Locally administered, unlike any endpoint's `02:42:…`; the systemd policy of persistent MACs leaves set ones alone. */
export function tunnelMac(vni: number): string {
  return `0a:6f:76:${vniBytes(vni)}`;
}

export function uplinkMacs(vni: number): { readonly inside: string; readonly host: string } {
  return { inside: `02:6f:76:${vniBytes(vni)}`, host: `06:6f:76:${vniBytes(vni)}` };
}

/**
 * The same on every host, so that a container that moves keeps its neighbour entry: it follows from the first subnet's
 * gateway, of IPv6 from the network.
 */
export function gatewayMac({ subnets, vni }: Pick<NetworkRecord, 'vni'> & GatewayFirst): string {
  const gateway = parseIp(subnets[0]?.gateway ?? ALL_ADDRESSES[4]);
  return gateway?.family === 4 ? macOf(gateway) : `0a:6f:67:${vniBytes(vni)}`;
}

interface GatewayFirst {
  readonly subnets: readonly Pick<SubnetSpec, 'gateway'>[];
}

/** Of every service of the network: no link has it. */
export function serviceMac(vni: number): string {
  return `0a:6f:73:${vniBytes(vni)}`;
}

export function portMac(endpointId: string): string {
  return `0e:${bytes(endpointId.slice(0, 10))}`;
}

function vniBytes(vni: number): string {
  return bytes(vni.toString(16).padStart(6, '0'));
}

function bytes(hex: string): string {
  let text = hex.slice(0, 2);
  for (let at = 2; at < hex.length; at += 2) text += `:${hex.slice(at, at + 2)}`;
  return text;
}
