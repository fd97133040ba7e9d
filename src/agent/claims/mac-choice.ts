/** MAC addresses that a user chose for an endpoint. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { gatewayMac } from '../../core/plan/naming.ts';
import type { EndpointRecord, NetworkRecord } from '../../core/records.ts';

/** A unicast MAC address in lower case. */
export function checkMac(text: string): string {
  const mac = text.toLowerCase().replaceAll('-', ':');
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) || mac === '00:00:00:00:00:00') {
    throw new OverlaydError(
      'invalid-argument',
      `--mac: "${text.slice(0, 40)}" is not a MAC address; write it like 02:42:0a:00:01:05`,
    );
  }
  if (Number.parseInt(mac.slice(0, 2), 16) & 1) {
    throw new OverlaydError(
      'invalid-argument',
      `--mac: ${text} is a multicast address; the first byte must be even, e.g. 02`,
    );
  }
  return mac;
}

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
