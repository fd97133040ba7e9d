/** MAC addresses of endpoints: mostly what follows from the address, else one that somebody chose. */
import { formatIp, type Ip, macOf, requireIp } from './ip.ts';
import { type EndpointRecord, firstAddress, type NetworkRecord } from './records.ts';
import { subnetWith } from './subnets.ts';

/** The MAC that an endpoint of this address has unless another one was chosen. */
export function derivedMac(address: string): string {
  return macOf(requireIp(address, 'address'));
}

/** Whether somebody chose it. */
export function isChosenMac(endpoint: Pick<EndpointRecord, 'addresses' | 'mac'>): boolean {
  return endpoint.mac !== derivedMac(firstAddress(endpoint));
}

/** The address of the network whose endpoint has that MAC unless another one was chosen. */
export function addressOfMac(mac: string, { subnets }: Pick<NetworkRecord, 'subnets'>): string | undefined {
  const bytes = mac.split(':').slice(2);
  const ip: Ip = { family: 4, value: BigInt(`0x${bytes.join('')}`) };
  return macOf(ip) === mac && subnetWith(subnets, ip) ? formatIp(ip) : undefined;
}
