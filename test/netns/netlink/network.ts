/** A network in a test's namespace, as we make one. */
import { closeSync, openSync } from 'node:fs';
import { expect } from 'vitest';
import { replaceAddress } from '../../../src/adapters/netlink/address.ts';
import {
  newBridge,
  newVeth,
  newVxlan,
  setAddrGenMode,
  setBridgePort,
  setLink,
} from '../../../src/adapters/netlink/link.ts';
import { replaceFdb, replaceNeighbour } from '../../../src/adapters/netlink/neighbour.ts';
import { replaceRoute } from '../../../src/adapters/netlink/route.ts';
import type { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import type { TestNamespace } from './namespace.ts';

export const [BRIDGE, TUNNEL, PORT, INSIDE] = [11, 12, 13, 14];
export const MTU = 1450;
const OFF = { learning: false, flood: false, multicastFlood: false, broadcastFlood: false };
export const NO_FLOOD = { ...OFF, locked: true, hairpin: true, isolated: true, neighbourSuppression: true };
export const done = (count: number) => Array.from({ length: count }, () => ({ ok: true }));

/** A network as we make it, in one go: the indexes are our choice, so that later requests can name them. */
export function makeNetwork(socket: NetlinkSocket, other: TestNamespace): void {
  const fd = openSync(other.path, 'r');
  const requests = [
    newBridge(
      { name: 'br0', mac: '02:00:00:00:00:01', mtu: MTU, index: BRIDGE },
      { stp: false, multicastSnooping: false },
    ),
    newVxlan(
      { name: 'vx0', mac: '02:00:00:00:00:02', mtu: MTU, index: TUNNEL },
      { vni: 4096, local: '127.0.0.1', port: 4790, learning: false, proxy: true, ttl: 64, udpChecksum: true },
    ),
    newVeth(
      { name: 'e1', mac: '02:00:00:00:00:03', mtu: MTU, index: PORT },
      { name: 'eth0', mac: '02:42:0a:00:00:02', mtu: MTU, index: INSIDE, namespaceFd: fd },
    ),
    ...[TUNNEL, PORT].map((index) => setLink({ index }, { master: BRIDGE, up: true })),
    setBridgePort({ index: PORT }, NO_FLOOD),
    setAddrGenMode({ name: 'br0' }, 1),
    setLink({ name: 'br0' }, { up: true }),
    replaceAddress({ link: BRIDGE, address: '10.0.0.1', prefix: 24, scope: 0 }),
    replaceAddress({ link: BRIDGE, address: '169.254.53.53', prefix: 32, scope: 254 }),
    replaceNeighbour({ link: TUNNEL, address: '10.0.0.9', mac: '02:42:0a:00:00:09' }),
    replaceNeighbour({ link: BRIDGE, address: '10.0.0.2', mac: '02:42:0a:00:00:02' }),
    replaceFdb({ link: TUNNEL, mac: '02:42:0a:00:00:09', vtep: '10.77.0.2', port: 8472 }),
    replaceFdb({ link: PORT, mac: '02:42:0a:00:00:02' }),
    replaceRoute({
      destination: '0.0.0.0',
      prefix: 0,
      gateway: '169.254.0.1',
      link: BRIDGE,
      protocol: 79,
      onlink: true,
    }),
    replaceRoute({ destination: '10.9.0.0', prefix: 16, link: BRIDGE, protocol: 79, metric: 4_000 }),
  ];
  try {
    expect(socket.request(requests)).toEqual(done(requests.length));
  } finally {
    closeSync(fd);
  }
}
