/** A UDP socket in another network namespace, opened there by this process itself, whose packets are never cut to pieces. */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { isIpv4 } from '../../core/ip.ts';
import type { OpenPathSocket } from '../../ports/path.ts';
import { insideNamespace } from '../native/namespace.ts';
import {
  AF_OF,
  bindSocket,
  closeDescriptor,
  IPV6_V6ONLY,
  inetAddress,
  openSocket,
  SOCK,
  SOL,
  setSocketOption,
} from '../native/socket.ts';

/** `linux/in.h`, `linux/in6.h`: sent with DF whatever a router said of the path's MTU (ip(7)). */
const SOL_IP = 0;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_PROBE = 3;
const NAMES = '/run/netns/';

export const openPathSocket: OpenPathSocket = (namespace, { address, port }, { message, failed }) => {
  const fd = insideNamespace(`${NAMES}${namespace}`, () => bound(address, port));
  const socket = createSocket(isIpv4(address) ? 'udp4' : 'udp6');
  socket.on('message', (data, from) => message(data, from.address));
  socket.on('error', failed);
  socket.bind({ fd, exclusive: true });
  return {
    send: (data, to) => {
      socket.send(data, port, to, (error) => {
        if (error) failed(error);
      });
    },
    checksumErrors: () => {
      try {
        const read = () => readFileSync(`/proc/thread-self/net/${isIpv4(address) ? 'snmp' : 'snmp6'}`, 'utf8');
        const inside = checksumErrorsIn(insideNamespace(`${NAMES}${namespace}`, read));
        const outside = checksumErrorsIn(read());
        return inside === undefined || outside === undefined ? undefined : { inside, outside };
      } catch {
        return undefined;
      }
    },
    close: () => {
      socket.close();
    },
  };
};

/** Of UDP, out of `/proc/net/snmp`, whose lines are headings and numbers in turn, or of IPv6 out of `snmp6`, a line each. */
export function checksumErrorsIn(text: string): number | undefined {
  const ofIpv6 = /^Udp6InCsumErrors\s+(\d+)$/m.exec(text)?.[1];
  if (ofIpv6 !== undefined) return Number(ofIpv6);
  const [headings, numbers] = text.split('\n').filter((line) => line.startsWith('Udp: '));
  const at = headings?.split(' ').indexOf('InCsumErrors') ?? -1;
  const count = at < 0 ? undefined : numbers?.split(' ')[at];
  return count === undefined ? undefined : Number(count);
}

function bound(address: string, port: number): number {
  const family = isIpv4(address) ? 4 : 6;
  const fd = openSocket(AF_OF[family], SOCK.DGRAM | SOCK.NONBLOCK);
  try {
    if (family === 6) {
      setSocketOption(fd, SOL.IPV6, IPV6_V6ONLY, 1);
      setSocketOption(fd, SOL.IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE);
    } else setSocketOption(fd, SOL_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE);
    bindSocket(fd, inetAddress(address, port));
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}
