/** MAC addresses of endpoints: mostly what follows from the address, else one that somebody chose. */
import { type Cidr, contains, formatAddress, macOf, requireAddress } from './ip.ts';
import type { EndpointRecord } from './records.ts';

/** The MAC that an endpoint of this address has unless another one was chosen. */
export function derivedMac(address: string): string {
  return macOf(requireAddress(address, 'address'));
}

/** Whether somebody chose it. */
export function isChosenMac({ address, mac }: Pick<EndpointRecord, 'address' | 'mac'>): boolean {
  return mac !== derivedMac(address);
}

/** The address of the block whose endpoint has that MAC unless another one was chosen. */
export function addressOfMac(mac: string, block: Cidr): string | undefined {
  const value = mac
    .split(':')
    .slice(2)
    .reduce((sum, byte) => sum * 256 + Number.parseInt(byte, 16), 0);
  return macOf(value) === mac && contains(block, value) ? formatAddress(value) : undefined;
}
