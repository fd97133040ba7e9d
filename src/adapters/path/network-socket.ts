/**
 * Two sockets in a network's namespace: one of packet(7), which sends frames by a device and hears nothing, and one of UDP, which hears
 * what comes in at another device alone, whatever addresses it has.
 */
import { createSocket } from 'node:dgram';
import { statSync } from 'node:fs';
import type { OpenNetworkSocket } from '../../ports/path.ts';
import { insideNamespace } from '../native/namespace.ts';
import {
  AF,
  bindSocket,
  closeDescriptor,
  closeLater,
  inetAddress,
  linkNumber,
  openSocket,
  packetAddress,
  SO,
  SOCK,
  SOL,
  send,
  setSocketOptionBytes,
} from '../native/socket.ts';

const NAMES = '/run/netns/';
/** What says nothing of the device: too large for it, or no room at the moment. */
const PASSING = ['EMSGSIZE', 'ENOBUFS', 'EAGAIN', 'ENOMEM'];

export const openNetworkSocket: OpenNetworkSocket = (namespace, devices, { port, message }) => {
  const path = `${NAMES}${namespace}`;
  const look = () => [devices.out, devices.in].map(linkNumber);
  const { ino } = statSync(path);
  const { out, ear, links } = insideNamespace(path, () => {
    const found = look();
    const sending = openSocket(AF.PACKET, SOCK.RAW | SOCK.NONBLOCK);
    try {
      bindSocket(sending, packetAddress(found[0]!), devices.out);
      return { out: sending, ear: listening(devices.in, port), links: found };
    } catch (error) {
      void closeLater(sending);
      throw error;
    }
  });
  let isDead = false;
  const socket = createSocket('udp4');
  socket.on('message', (data, from) => message(data, from.address));
  // What is wrong with it is seen by nothing coming in.
  socket.on('error', () => undefined);
  socket.bind({ fd: ear, exclusive: true });
  return {
    send: (frame) => {
      try {
        send(out, frame);
      } catch (error) {
        // As lost. A device that is made anew may have the number of the one before, which this socket goes on to stand for.
        isDead ||= !PASSING.includes((error as NodeJS.ErrnoException).code ?? '');
      }
      return !isDead;
    },
    isCurrent: () => {
      if (isDead) return false;
      try {
        return statSync(path).ino === ino && insideNamespace(path, look).every((number, at) => number === links[at]);
      } catch {
        return false;
      }
    },
    close: () => {
      socket.close();
      return closeLater(out);
    },
  };
};

function listening(device: string, port: number): number {
  const fd = openSocket(AF.INET, SOCK.DGRAM | SOCK.NONBLOCK);
  try {
    setSocketOptionBytes(fd, SOL.SOCKET, SO.BINDTODEVICE, Buffer.from(`${device}\0`));
    bindSocket(fd, inetAddress('0.0.0.0', port));
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}
