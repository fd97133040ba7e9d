/** From where servers are asked: the host, or the inside of a container. */
import { createSocket, type SocketOptions, type Socket as UdpSocket } from 'node:dgram';
import { connect, Socket, type SocketConstructorOpts } from 'node:net';
import { familyOf } from '../../core/ip.ts';
import { insideNamespace } from '../native/namespace.ts';
import { AF, openSocket, SO, SOCK, SOL, setSocketOption } from '../native/socket.ts';

export interface Server {
  readonly address: string;
  readonly port: number;
}

export interface Door {
  /** A socket that is not connected yet. */
  udp(server: Server): UdpSocket;
  /** One that is being connected. */
  tcp(server: Server): Socket;
}

/** Addresses are numeric already: nothing to look up, nothing to wait for. */
const lookup = ((address: string, _options: unknown, found: (error: null, address: string, family: number) => void) =>
  found(null, address, familyOf(address) ?? 4)) as NonNullable<SocketOptions['lookup']>;

export const ownDoor: Door = {
  udp: ({ address }) => createSocket({ type: familyOf(address) === 6 ? 'udp6' : 'udp4', lookup }),
  tcp: ({ address, port }) => connect({ port, host: address, noDelay: true }),
};

/** Servers of IPv4. What is sent has the mark (`SO_MARK`). Both throw what opening the namespace throws. */
export function doorInside(namespacePath: string, mark: number): Door {
  const open = (type: number) =>
    insideNamespace(namespacePath, () => {
      const fd = openSocket(AF.INET, type | SOCK.NONBLOCK);
      setSocketOption(fd, SOL.SOCKET, SO.MARK, mark);
      return fd;
    });
  return {
    udp() {
      const socket = createSocket({ type: 'udp4', lookup });
      socket.bind({ fd: open(SOCK.DGRAM), exclusive: true });
      return socket;
    },
    tcp({ address, port }) {
      // Without the second it is read from before it is connected.
      const options: SocketConstructorOpts & { manualStart: true } = { fd: open(SOCK.STREAM), manualStart: true };
      return new Socket(options).setNoDelay(true).connect(port, address);
    },
  };
}
