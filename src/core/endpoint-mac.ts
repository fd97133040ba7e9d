/**
 * MAC addresses of endpoints. One that has an IPv4 address has the MAC that follows from it, which nobody else on the network
 * can have, for the address is claimed. An IPv6 address is longer than a MAC: an endpoint of IPv6 alone, or one of which that
 * address alone was asked for, is given one that is proposed from it, and claims it by a key of its own, as a MAC that
 * somebody chose is claimed.
 */
import { OverlaydError } from './errors.ts';
import { formatIp, type Ip, isIpv4, macOf, parseIp, requireIp } from './ip.ts';
import type { EndpointAddress, EndpointRecord, NetworkRecord } from './records.ts';
import { subnetWith } from './subnets.ts';

/** The MAC that an endpoint of these addresses has unless it has one of its own; undefined: none follows from them. */
export function derivedMac(addresses: readonly Pick<EndpointAddress, 'ip'>[]): string | undefined {
  const ipv4 = addresses.find(({ ip }) => isIpv4(ip));
  return ipv4 && macOf(requireIp(ipv4.ip, 'address'));
}

/**
 * The nth proposal for who has this IPv6 address: locally administered, `62:` and 40 bits, which are the address' last three
 * parts of so many bits, one over the other. So neighbours differ, and so do the first 2^24 addresses of all /64 of one /48;
 * whoever finds one taken all the same takes the next. Throws `internal` for what is no IPv6 address.
 */
export function proposedMac(address: string, nth = 0): string {
  const ip = parseIp(address);
  if (ip?.family !== 6) throw new OverlaydError('internal', `no MAC is proposed for "${address}"`);
  const folded = (ip.value ^ (ip.value >> 40n) ^ (ip.value >> 80n)) + BigInt(nth);
  const bytes = (folded & 0xff_ffff_ffffn).toString(16).padStart(10, '0');
  return `62:${bytes.replace(/..(?=.)/g, '$&:')}`;
}

/** Whether the MAC has a key of its own: somebody chose it, or it was proposed. */
export function hasMacClaim({ addresses, mac }: Pick<EndpointRecord, 'addresses' | 'mac'>): boolean {
  return mac !== derivedMac(addresses);
}

/** The address of the network whose endpoint has that MAC unless another one was chosen. */
export function addressOfMac(mac: string, { subnets }: Pick<NetworkRecord, 'subnets'>): string | undefined {
  const bytes = mac.split(':').slice(2);
  const ip: Ip = { family: 4, value: BigInt(`0x${bytes.join('')}`) };
  return macOf(ip) === mac && subnetWith(subnets, ip) ? formatIp(ip) : undefined;
}

/** A unicast MAC address as somebody chose it, in lower case. Throws `invalid-argument`. */
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
