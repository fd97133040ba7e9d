/**
 * The MTU inside a network: what the narrowest underlay of any member leaves, so that every pair of endpoints agrees.
 * Options win: `mtu` is the inner value, Docker's `com.docker.network.driver.mtu` is the underlay's.
 */
import type { ClusterView } from './cluster-view.ts';
import { VXLAN_OVERHEAD_BYTES } from './host-state.ts';
import { networkSettings } from './network-options.ts';
import type { NetworkRecord } from './records.ts';

const DEFAULT_UNDERLAY_BYTES = 1500;
/** What every IPv4 host must take (RFC 791). */
const LEAST_BYTES = 576;

/** Bytes. Members that left do not count. */
export function innerMtu(view: Pick<ClusterView, 'nodes'>, network: Pick<NetworkRecord, 'options'>): number {
  const { innerMtu: inner, underlayMtu: underlay = underlayOf(view) } = networkSettings(network);
  return inner ?? Math.max(LEAST_BYTES, underlay - VXLAN_OVERHEAD_BYTES);
}

function underlayOf(view: Pick<ClusterView, 'nodes'>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const node of view.nodes()) if (!node.left) least = Math.min(least, node.underlayMtu);
  return Number.isFinite(least) ? least : DEFAULT_UNDERLAY_BYTES;
}
