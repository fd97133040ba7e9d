/** What is asked is what would be understood: requests, read by the decoders of what the kernel tells. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAddress, deleteAddress, replaceAddress } from '../../../../src/adapters/netlink/address.ts';
import { AttributeReader, PayloadWriter, parseAddress, viewOf } from '../../../../src/adapters/netlink/attributes.ts';
import {
  decodeLink,
  newBridge,
  newVeth,
  newVxlan,
  setAddrGenMode,
  setBridgePort,
  setLink,
} from '../../../../src/adapters/netlink/link.ts';
import {
  encodeMessage,
  type Message,
  messageBytes,
  messagesOf,
  type Request,
} from '../../../../src/adapters/netlink/message.ts';
import { decodeNsid, newNsid } from '../../../../src/adapters/netlink/namespace-id.ts';
import {
  decodeNeighbour,
  deleteFdb,
  replaceFdb,
  replaceNeighbour,
} from '../../../../src/adapters/netlink/neighbour.ts';
import { decodeRoute, deleteRoute, replaceRoute } from '../../../../src/adapters/netlink/route.ts';
import {
  IFF_UP,
  IFLA_INFO_DATA,
  IFLA_LINKINFO,
  VETH_INFO_PEER,
} from '../../../../src/adapters/netlink/uapi/if-link.ts';
import { NLA_F_NESTED } from '../../../../src/adapters/netlink/uapi/netlink.ts';
import { formatIp } from '../../../../src/core/ip.ts';

const index = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const byte = fc.integer({ min: 0, max: 255 });
const ipv4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join('.'));
const ipv6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => formatIp({ family: 6, value }));
const ip = fc.oneof(ipv4, ipv6);
const familyOf = (address: string) => (address.includes(':') ? 10 : 2);
const hex = (value: number) => value.toString(16).padStart(2, '0');
const mac = fc.array(byte, { minLength: 6, maxLength: 6 }).map((bytes) => bytes.map(hex).join(':'));
const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,14}$/);
const port = fc.integer({ min: 1, max: 65_535 });
const link = fc.record({ name, mac, mtu: fc.integer({ min: 68, max: 65_535 }), index });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** The request as a datagram has it, behind another one. */
function sent(request: Request): Message {
  const before: Request = { type: 3, flags: 0, payload: new Uint8Array(5) };
  const datagram = new Uint8Array(messageBytes(before) + messageBytes(request)).fill(0xff);
  const end = encodeMessage(request, 0, 7, datagram, encodeMessage(before, 0, 6, datagram, 0));
  expect(end).toBe(datagram.length);
  const messages = [...messagesOf(datagram)];
  expect(messages.map(({ sequence }) => sequence)).toEqual([6, 7]);
  expect(messages[1]?.type).toBe(request.type);
  return messages[1]!;
}

describe('requests are read as they were meant', () => {
  it('a VXLAN device', () => {
    const data = fc.record({
      vni: fc.integer({ min: 0, max: 2 ** 24 - 1 }),
      local: ip,
      port,
      learning: fc.boolean(),
      proxy: fc.boolean(),
      ttl: byte,
      udpChecksum: fc.boolean(),
    });
    fc.assert(
      fc.property(link, data, (wanted, vxlan) => {
        expect(decodeLink(sent(newVxlan(wanted, vxlan)))).toMatchObject({ ...wanted, kind: 'vxlan', vxlan });
      }),
    );
  });

  it('a bridge', () => {
    fc.assert(
      fc.property(link, fc.record({ stp: fc.boolean(), multicastSnooping: fc.boolean() }), (wanted, bridge) => {
        expect(decodeLink(sent(newBridge(wanted, bridge)))).toMatchObject({ ...wanted, kind: 'bridge', bridge });
      }),
    );
  });

  it('both ends of a pair', () => {
    fc.assert(
      fc.property(link, link, (end, peer) => {
        const message = sent(newVeth(end, peer));
        expect(decodeLink(message)).toMatchObject({ ...end, kind: 'veth' });
        expect(decodeLink({ ...message, ...peerOf(message) })).toMatchObject(peer);
      }),
    );
  });

  it('changes of a link', () => {
    const change = fc.record({ mac, mtu: index, master: index, group: index });
    fc.assert(
      fc.property(name, change, (called, wanted) => {
        const seen = decodeLink(sent(setLink({ name: called }, { ...wanted, up: true })));
        expect(seen).toMatchObject({ ...wanted, name: called, index: 0, flags: IFF_UP });
      }),
    );
    expect(decodeLink(sent(setAddrGenMode({ index: 9 }, 1)))).toMatchObject({ index: 9, inet6: { addrGenMode: 1 } });
  });

  it('flags of a port', () => {
    const names = ['learning', 'flood', 'multicastFlood', 'broadcastFlood', 'locked', 'hairpin', 'isolated'];
    const all = [...names, 'neighbourSuppression'].map((name) => [name, fc.boolean()] as const);
    const flags = fc.record(Object.fromEntries(all));
    fc.assert(
      fc.property(index, flags, (which, wanted) => {
        const { port: seen } = decodeLink(sent(setBridgePort({ index: which }, wanted as never)));
        expect(seen).toEqual(wanted);
      }),
    );
  });

  it('an address', () => {
    const address = fc.record({ link: index, address: ip, prefix: fc.integer({ min: 0, max: 32 }), scope: byte });
    fc.assert(
      fc.property(address, (wanted) => {
        const family = familyOf(wanted.address);
        // Nobody is asked whether he has it.
        const seen = { family, label: '', flags: family === 10 ? 2 : 0, ...wanted };
        expect(decodeAddress(sent(replaceAddress(wanted)))).toEqual(seen);
        expect(decodeAddress(sent(deleteAddress(wanted)))).toEqual(seen);
      }),
    );
  });

  it.each([
    ['IPv4', ipv4, '0.0.0.0'],
    ['IPv6', ipv6, '::'],
  ] as const)('a route of %s', (_, any, zero) => {
    const route = fc.record({
      destination: any,
      prefix: fc.integer({ min: 1, max: 32 }),
      gateway: maybe(any),
      link: index,
      protocol: byte,
      onlink: fc.boolean(),
      metric: index,
    });
    fc.assert(
      fc.property(route, (wanted) => {
        const { onlink, ...rest } = wanted;
        const seen = { ...rest, family: familyOf(zero), flags: onlink ? 4 : 0, table: 254 };
        expect(decodeRoute(sent(replaceRoute(wanted)))).toMatchObject({ ...seen, type: 1 });
        // Of whatever type it is.
        expect(decodeRoute(sent(deleteRoute(wanted)))).toMatchObject({ ...seen, type: 0 });
      }),
    );
    const byDefault = replaceRoute({ destination: zero, prefix: 0, link: 1, protocol: 79 });
    expect(decodeRoute(sent(byDefault))).toMatchObject({ destination: zero, prefix: 0, metric: 0 });
  });

  it('neighbours and FDB rows', () => {
    fc.assert(
      fc.property(fc.record({ link: index, address: ip, mac }), (wanted) => {
        const seen = { ...wanted, family: familyOf(wanted.address), state: 0x80 };
        expect(decodeNeighbour(sent(replaceNeighbour(wanted)))).toMatchObject(seen);
      }),
    );
    fc.assert(
      fc.property(fc.record({ link: index, mac, vtep: ip, port: maybe(port) }), ({ vtep, ...wanted }) => {
        for (const request of [replaceFdb({ ...wanted, vtep }), deleteFdb({ ...wanted, vtep })]) {
          const seen = decodeNeighbour(sent(request));
          expect(seen).toMatchObject({ ...wanted, address: vtep, family: 7, state: 0xc0, flags: 2 });
        }
      }),
    );
    const ofBridge = replaceFdb({ link: 3, mac: '02:42:0a:00:00:02' });
    expect(decodeNeighbour(sent(ofBridge))).toMatchObject({ family: 7, address: undefined, state: 0x42, flags: 4 });
  });

  it('the id of a namespace', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1, max: 2 ** 31 - 1 }), (id) => {
        expect(decodeNsid(sent(newNsid(5, id)))).toBe(id);
      }),
    );
  });
});

describe('what is not as it should be', () => {
  it('is no attribute: a length that is too short, or beyond the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const attributes = new AttributeReader(viewOf(bytes), 0, bytes.length);
        while (attributes.next()) {
          expect(attributes.at + attributes.length).toBeLessThanOrEqual(bytes.length);
          // Whatever it is taken for, nothing is read from beyond it.
          attributes.text();
          for (const read of ['u8', 'u16', 'u32', 'be16', 'be32', 'ip', 'mac'] as const) attributes[read]();
        }
      }),
    );
  });

  it('is no message, and decoders of messages bear whatever is in one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 96 }), (payload) => {
        const padded = new Uint8Array(Math.max(16, payload.length));
        padded.set(payload);
        const message = sent({ type: 16, flags: 0, payload: padded });
        for (const decode of [decodeLink, decodeAddress, decodeRoute, decodeNeighbour, decodeNsid]) decode(message);
      }),
    );
    expect([...messagesOf(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))]).toEqual([]);
    expect([...messagesOf(new Uint8Array(15))]).toEqual([]);
  });

  it.each(['10.0.0', '10.0.0.256', 'a.b.c.d', '10.0.0.0001', 'fd00:::1', 'fe80::1%eth0'])(
    '%s is no address',
    (text) => {
      expect(() => parseAddress(text)).toThrow(/no IP address/);
    },
  );

  it('is refused where it would not fit', () => {
    expect(() => new PayloadWriter().mac(1, '02:42:0a')).toThrow(/no MAC address/);
    const most = 0xffff - 4;
    const write = [
      (bytes: number) => new PayloadWriter().bytes(1, new Uint8Array(bytes)),
      (bytes: number) => new PayloadWriter().text(1, 'x'.repeat(bytes - 1)),
      (bytes: number) =>
        new PayloadWriter().nested(1, (writer) => writer.header(bytes & ~3, () => undefined), NLA_F_NESTED),
    ];
    for (const attribute of write) {
      expect(attribute(most - 3).length).toBe(0xfffc);
      expect(() => attribute(most + 1)).toThrow(/too long/);
    }
  });
});

/** Where the other end of a pair is described. */
function peerOf({ view, start, end }: Message): { start: number; end: number } {
  const attributes = new AttributeReader(view, start + 16, end);
  while (attributes.next()) {
    if (attributes.type !== IFLA_LINKINFO) continue;
    const info = attributes.nested();
    while (info.next()) {
      if (info.type !== IFLA_INFO_DATA) continue;
      const data = info.nested();
      while (data.next()) if (data.type === VETH_INFO_PEER) return { start: data.at, end: data.at + data.length };
    }
  }
  throw new Error('no peer');
}
