/**
 * Passes WireGuard's packets on between two members behind NAT (`core/wireguard/relaying.ts`): a UDP socket for each of them, and
 * what comes to the one leaves by the other. It ends with the agent: what is sent meanwhile is lost, as on any way that is gone
 * for a moment, and the ports are the same afterwards.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isWireguardPacket } from '../../core/wireguard/relaying.ts';
import type { OpenRelay, Relay } from '../../ports/wireguard.ts';

interface Side {
  readonly socket: Socket;
  /** From where its member was heard last. */
  heard: { readonly address: string; readonly port: number } | undefined;
}

export const openRelay: OpenRelay = async ({ address, ports, admits }): Promise<Relay> => {
  const sides = await bindBoth(address, ports);
  for (const [at, side] of sides.entries()) {
    const other = sides[at === 0 ? 1 : 0];
    side.socket.on('message', (packet, { address, port }) => {
      if (!isWireguardPacket(packet) || !admits(at as 0 | 1, address)) return;
      side.heard = { address, port };
      if (other.heard) other.socket.send(packet, other.heard.port, other.heard.address, () => undefined);
    });
  }
  const [first, second] = sides;
  return {
    ports: [first.socket.address().port, second.socket.address().port],
    close: () => {
      for (const { socket } of sides) socket.close();
    },
  };
};

async function bindBoth(address: string, ports: readonly [number, number]): Promise<readonly [Side, Side]> {
  const first = await bind(address, ports[0]);
  try {
    return [first, await bind(address, ports[1])];
  } catch (error) {
    first.socket.close();
    throw error;
  }
}

/** Throws as binding does. */
async function bind(address: string, port: number): Promise<Side> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
  socket.bind(port, address);
  try {
    await once(socket, 'listening');
  } catch (error) {
    socket.close();
    throw error;
  }
  // What the network says of a packet (a port that is closed) is nothing to end for.
  socket.on('error', () => undefined);
  return { socket, heard: undefined };
}
