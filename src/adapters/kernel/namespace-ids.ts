/** Numbers by which the host knows the networks' namespaces and their tunnels, and events name them. */

/** Ids of our namespaces begin here: ids that others let the kernel choose count from 0. */
const BASE = 2 ** 30;
/** VNIs have 24 bits. */
const VNI_SPAN = 2 ** 24;
/**
 * Ids that a network's namespace may have. A process that stays in a namespace whose name was removed keeps that one and
 * its id alive, so the next namespace of the network takes another.
 */
export const IDS_PER_VNI = 8;

/** The `nth` id of a network's namespace. */
export function namespaceId(vni: number, nth = 0): number {
  return BASE + nth * VNI_SPAN + vni;
}

/** Index of the network's VXLAN device, which no other link of the host or of any namespace has: its events are told by it. */
export function tunnelIndex(vni: number): number {
  return BASE + vni;
}

/** Not positive when it is none of ours. */
export function vniOfNamespaceId(id: number): number {
  return id < BASE ? 0 : (id - BASE) % VNI_SPAN;
}

/**
 * Given out by the same rule, as if of a network beyond all VNIs; see `wireguard.ts`. The place of VNI 0 may have one, too, while
 * the one before it ends (`core/path/probe.ts`): whoever is told looks once more than needed.
 */
export function isIdOfWireguard(id: number): boolean {
  return id > BASE && vniOfNamespaceId(id) === 0;
}
