/** How the kernel is asked: of many at once, of what changes meanwhile, and of what is not there. */
import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deleteAddress, replaceAddress } from '../../../src/adapters/netlink/address.ts';
import {
  decodeLink,
  deleteLinkGroup,
  dumpLinks,
  getLink,
  newBridge,
  newVeth,
  setLink,
} from '../../../src/adapters/netlink/link.ts';
import {
  decodeNeighbour,
  deleteFdb,
  deleteNeighbour,
  dumpNeighbours,
  replaceNeighbour,
} from '../../../src/adapters/netlink/neighbour.ts';
import { getTable } from '../../../src/adapters/netlink/nftables.ts';
import { deleteRoute, replaceRoute } from '../../../src/adapters/netlink/route.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { KernelTransport } from '../../../src/adapters/netlink/transport.ts';
import { NFPROTO_INET } from '../../../src/adapters/netlink/uapi/netfilter.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../../../src/adapters/netlink/uapi/netlink.ts';
import { TestNamespace } from './namespace.ts';
import { BRIDGE, done, INSIDE, MTU, makeNetwork, PORT, TUNNEL } from './network.ts';

let space: TestNamespace;
let other: TestNamespace;
let socket: NetlinkSocket;

beforeEach(() => {
  space = new TestNamespace('netlink');
  other = new TestNamespace('netlink-other');
  socket = new NetlinkSocket({ namespace: space.path });
});
afterEach(() => {
  socket?.close();
  space?.remove();
  other?.remove();
});

describe('a dump', () => {
  it('is whole, though a link comes while it is told', () => {
    const kept = Array.from({ length: 100 }, (_, at) => `k${at}`);
    const end = { mac: '02:00:00:00:00:01', mtu: MTU };
    const pairs = kept.map((name) => newVeth({ ...end, name }, { ...end, name: `${name}p` }));
    expect(socket.request(pairs)).toEqual(done(100));
    const transport = new Interruptible(NETLINK_ROUTE, space.path);
    const asking = new NetlinkSocket({}, transport);
    // More than the kernel tells before anything of it is taken.
    transport.afterFirst = () => space.ip('link', 'add', 'late', 'type', 'bridge');
    const names = asking.dump(dumpLinks(), decodeLink).map(({ name }) => name);
    expect(transport.sent).toBe(2);
    expect(names.sort()).toEqual(['lo', 'late', ...kept, ...kept.map((name) => `${name}p`)].sort());
    asking.close();
  });
});

/** Something happens when the first part of an answer has come. */
class Interruptible extends KernelTransport {
  afterFirst: (() => void) | undefined;
  sent = 0;

  override send(datagram: Uint8Array): void {
    this.sent += 1;
    super.send(datagram);
  }

  override receive(into: Uint8Array): number | undefined {
    const length = super.receive(into);
    const happen = length === undefined ? undefined : this.afterFirst;
    if (happen) this.afterFirst = undefined;
    happen?.();
    return length;
  }
}

describe('many requests', () => {
  it('have their own outcomes, in the kernel’s words', () => {
    makeNetwork(socket, other);
    const outcomes = socket.request([
      setLink({ index: INSIDE }, { mtu: 1400 }),
      setLink({ index: PORT }, { mtu: 10_000_000 }),
      newBridge({ name: 'br0', mac: '02:00:00:00:00:01', mtu: MTU }, { stp: false, multicastSnooping: false }),
      replaceAddress({ link: BRIDGE, address: '10.0.0.3', prefix: 24, scope: 0 }),
      deleteAddress({ link: BRIDGE, address: '10.0.0.77', prefix: 24, scope: 0 }),
      deleteRoute({ destination: '10.66.0.0', prefix: 16, link: BRIDGE, protocol: 79 }),
      deleteNeighbour({ link: BRIDGE, address: '10.0.0.66' }),
      deleteFdb({ link: PORT, mac: '02:42:0a:00:00:66' }),
      replaceRoute({ destination: '10.66.0.0', prefix: 16, gateway: '192.0.2.1', link: BRIDGE, protocol: 79 }),
    ]);
    expect(outcomes).toEqual([
      expect.objectContaining({ code: 'ENODEV' }),
      { ok: false, code: 'EINVAL', text: 'mtu greater than device maximum' },
      expect.objectContaining({ code: 'EEXIST' }),
      { ok: true },
      { ok: false, code: 'EADDRNOTAVAIL', text: expect.stringMatching(/address not (found|available)/i) },
      expect.objectContaining({ code: 'ESRCH' }),
      expect.objectContaining({ code: 'ENOENT' }),
      expect.objectContaining({ code: 'ENOENT' }),
      { ok: false, code: 'ENETUNREACH', text: expect.stringMatching(/nexthop has invalid gateway/i) },
    ]);
  });

  it('are refused by the attribute that is wrong, where the kernel has no words', () => {
    const netfilter = new NetlinkSocket({ namespace: space.path, protocol: NETLINK_NETFILTER });
    // Behind the header of the message and that of nftables.
    const text = 'no such file or directory, of the attribute at byte 20 of the request';
    expect(netfilter.request([getTable(NFPROTO_INET, 'none')])).toEqual([{ ok: false, code: 'ENOENT', text }]);
    netfilter.close();
  });

  it('are all done and all answered, ten thousand of them, every other one refused', () => {
    makeNetwork(socket, other);
    const requests = Array.from({ length: 10_000 }, (_, at) => {
      const address = `10.1.${at >> 8}.${at & 255}`;
      const hex = (byte: number) => byte.toString(16).padStart(2, '0');
      const mac = `02:42:0a:01:${hex(at >> 8)}:${hex(at & 255)}`;
      return at % 2 === 0
        ? replaceNeighbour({ link: TUNNEL, address, mac })
        : deleteAddress({ link: BRIDGE, address, prefix: 24, scope: 0 });
    });
    const outcomes = socket.request(requests);
    expect(outcomes).toHaveLength(requests.length);
    expect(outcomes.flatMap((outcome, at) => (outcome.ok === (at % 2 === 0) ? [] : [at]))).toEqual([]);
    const neighbours = socket.dump(dumpNeighbours(TUNNEL), decodeNeighbour);
    expect(neighbours.filter(({ family }) => family === 2)).toHaveLength(5_001);
  });

  it('that read are answered each by its own', () => {
    makeNetwork(socket, other);
    const indexes = Array.from({ length: 600 }, (_, at) => [BRIDGE, TUNNEL, PORT][at % 3]!);
    const answers: number[] = [];
    const outcomes = socket.request(
      indexes.map((index) => getLink({ index })),
      (position, message) => {
        answers[position] = decodeLink(message).index;
      },
    );
    expect(outcomes).toEqual(done(600));
    expect(answers).toEqual(indexes);
  });
});

describe('a namespace', () => {
  it('that is not there, or none, is said', () => {
    expect(() => new NetlinkSocket({ namespace: '/run/netns/ovn-nowhere' })).toThrow(/ENOENT/);
    const file = `/tmp/ovn-no-namespace-${process.pid}`;
    writeFileSync(file, '');
    expect(() => new NetlinkSocket({ namespace: file })).toThrow(/EINVAL/);
    rmSync(file);
  });

  it('is asked no more after its socket was closed', () => {
    socket.close();
    expect(socket.closed).toBe(true);
    expect(() => socket.request([deleteLinkGroup(9)])).toThrow(/socket is closed/);
  });
});
