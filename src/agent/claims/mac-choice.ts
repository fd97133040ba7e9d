/** MAC addresses that a user chose for an endpoint. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { gatewayMac } from '../../core/plan/naming.ts';
import type { EndpointRecord, NetworkRecord } from '../../core/records.ts';

/** `own`: an address of the endpoint that is to have it. Throws `address-in-use`. */
export function refuseTakenMac(view: ClusterView, network: NetworkRecord, mac: string, own?: string): void {
  const addresses = view.addresses(network.id);
  const self = own === undefined ? undefined : addresses.get(own);
  let holder: EndpointRecord | undefined;
  for (const endpoint of addresses.values()) if (endpoint.mac === mac && endpoint !== self) holder ??= endpoint;
  if (!holder && mac !== gatewayMac(network)) return;
  const who = holder
    ? `${holder.name} on ${view.node(holder.nodeId)?.name ?? holder.nodeId.slice(0, 12)}`
    : 'the gateway';
  throw new OverlaydError('address-in-use', `MAC address ${mac} already in use on network ${network.name} by ${who}`);
}
