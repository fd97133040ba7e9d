import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { isIpv4 } from '../../../../src/core/ip.ts';

export interface Upstream {
  readonly address: string;
  readonly port: number;
  readonly udp: number;
  readonly tcp: number;
  close(): void;
}

export interface Behaviour {
  /** Datagrams sent back for one received; undefined: no UDP socket at all. */
  readonly udp?: (query: Buffer, sourcePort: number) => readonly Uint8Array[];
  /** The message sent back by TCP. */
  readonly tcp?: (query: Buffer) => Uint8Array;
}

/** An upstream server on a loopback address; counts what it is asked. */
export async function startUpstream(address: string, behaviour: Behaviour, wanted = 0): Promise<Upstream> {
  const counts = { udp: 0, tcp: 0 };
  let udp: Socket | undefined;
  let tcp: Server | undefined;
  let port = wanted;
  if (behaviour.udp !== undefined) {
    const { udp: answer } = behaviour;
    const socket = createSocket(isIpv4(address) ? 'udp4' : 'udp6');
    socket.on('message', (message, from) => {
      counts.udp += 1;
      for (const reply of answer(message, from.port)) socket.send(reply, from.port, from.address);
    });
    socket.bind(port, address);
    await once(socket, 'listening');
    port = socket.address().port;
    udp = socket;
  }
  if (behaviour.tcp !== undefined) {
    const { tcp: answer } = behaviour;
    tcp = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', (message) => {
        counts.tcp += 1;
        const reply = answer(message.subarray(2));
        socket.end(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
      });
    });
    tcp.listen(port, address);
    await once(tcp, 'listening');
    port = (tcp.address() as AddressInfo).port;
  }
  return {
    address,
    port,
    get udp() {
      return counts.udp;
    },
    get tcp() {
      return counts.tcp;
    },
    close: () => {
      udp?.close();
      tcp?.close();
    },
  };
}
