/** Frames as a container with raw sockets sends them. */
import { bytesOf, requireIp } from '../../src/core/ip.ts';

/** Perl: sends frames, given as hexadecimal digits, out of the interface of that name. */
export const SEND_FRAMES = `
  my ($link, @frames) = @ARGV;
  open my $index, '<', "/sys/class/net/$link/ifindex" or die $!;
  my $address = pack 'SnlSCCa8', 17, 3, <$index>, 0, 0, 6, '';
  socket my $socket, 17, 3, unpack('S', pack 'n', 3) or die $!;
  for (@frames) { send $socket, pack('H*', $_), 0, $address or die $! }
`;

const hexOf = (address: string) => Buffer.from(bytesOf(requireIp(address, 'address'))).toString('hex');
const digitsOf = (mac: string) => mac.replaceAll(':', '');

export interface Ipv6Packet {
  readonly from: string;
  readonly to: string;
  /** MACs. */
  readonly sender: string;
  readonly receiver: string;
  /** Hexadecimal digits, of ICMPv6 unless another next header is said. */
  readonly payload: string;
  readonly nextHeader?: string;
}

/** RFC 8200. Checksums within are not right: whoever filters does not look at them. */
export function ipv6Frame({ from, to, sender, receiver, payload, nextHeader = '3a' }: Ipv6Packet): string {
  const length = (payload.length / 2).toString(16).padStart(4, '0');
  return `${digitsOf(receiver)}${digitsOf(sender)}86dd60000000${length}${nextHeader}ff${hexOf(from)}${hexOf(to)}${payload}`;
}

/** An empty datagram from port 9 to 9; RFC 791, RFC 768. Checksums are not right. */
export function ipv4Frame({
  from,
  to,
  sender,
  receiver,
}: Pick<Ipv6Packet, 'from' | 'to' | 'sender' | 'receiver'>): string {
  const header = `4500001c0000000040110000${hexOf(from)}${hexOf(to)}`;
  return `${digitsOf(receiver)}${digitsOf(sender)}0800${header}0009000900080000`;
}

export const ECHO = '8000000000010001';
/** RFC 4861. */
export const ROUTER_ADVERTISEMENT = '86000000400007080000000000000000';
/** An empty hop-by-hop header, after which comes ICMPv6. */
export const HOP_BY_HOP = '3a00010400000000';

export function neighbourAdvertisement(target: string, mac: string): string {
  return `8800000020000000${hexOf(target)}0201${digitsOf(mac)}`;
}

export function redirect(target: string, destination: string): string {
  return `8900000000000000${hexOf(target)}${hexOf(destination)}`;
}

/** Both parts of a packet that is cut within its destination options: only the second part says that it is an echo request. */
export const CUT_ECHO = [
  `3c00${'0001'}00000001${'3a01010400000000'}`,
  `3c00${'0008'}00000001${'0104000000000000'}${ECHO}`,
];
