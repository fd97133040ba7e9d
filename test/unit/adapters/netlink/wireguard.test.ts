/** Requests for the kernel's WireGuard, read as they were meant, and what a kernel (Debian's 6.1) has told of its devices. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFamily, getFamily } from '../../../../src/adapters/netlink/generic.ts';
import { decodeLink } from '../../../../src/adapters/netlink/link.ts';
import {
  encodeMessage,
  type Message,
  messageBytes,
  messagesOf,
  type Request,
} from '../../../../src/adapters/netlink/message.ts';
import { GENL_ID_CTRL } from '../../../../src/adapters/netlink/uapi/genetlink.ts';
import { NLMSG_DONE } from '../../../../src/adapters/netlink/uapi/netlink.ts';
import {
  WGDEVICE_F_REPLACE_PEERS,
  WGPEER_F_REMOVE_ME,
  WGPEER_F_REPLACE_ALLOWEDIPS,
} from '../../../../src/adapters/netlink/uapi/wireguard.ts';
import {
  type DeviceChange,
  decodeWireguard,
  getWireguard,
  joinWireguard,
  newWireguard,
  setWireguard,
} from '../../../../src/adapters/netlink/wireguard.ts';
import { publicKeyOf } from '../../../../src/adapters/wireguard/keys.ts';
import { formatHostPort } from '../../../../src/core/host-port.ts';
import { formatIp } from '../../../../src/core/ip.ts';
import recorded from '../../../fixtures/wireguard-messages.json' with { type: 'json' };

const FAMILY = 32;
const byte = fc.integer({ min: 0, max: 255 });
const ipv4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join('.'));
const ipv6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => formatIp({ family: 6, value }));
const port = fc.integer({ min: 1, max: 65_535 });
const key = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => bytes.some((each) => each !== 0))
  .map((bytes) => Buffer.from(bytes).toString('base64'));
const endpoint = fc.tuple(fc.oneof(ipv4, ipv6), port).map(([host, at]) => formatHostPort(host, at));
const cidr = fc.oneof(
  ipv4.map((address) => `${address}/32`),
  ipv6.map((address) => `${address}/128`),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const peer = (most: number) =>
  fc.record({
    publicKey: key,
    endpoint: maybe(endpoint),
    allowedIps: fc.uniqueArray(cidr, { maxLength: most }),
    keepaliveSeconds: fc.integer({ min: 0, max: 65_535 }),
  });
const peersOf = (most: number, allowed: number) =>
  fc.uniqueArray(peer(allowed), { maxLength: most, selector: ({ publicKey }) => publicKey });

function sent(request: Request): Message {
  const datagram = new Uint8Array(messageBytes(request));
  encodeMessage(request, 0, 1, datagram, 0);
  const [message, ...others] = messagesOf(datagram);
  expect(others).toEqual([]);
  expect(message!.type).toBe(request.type);
  return message!;
}

function partsOf(device: DeviceChange) {
  return setWireguard(FAMILY, device).map((request) => decodeWireguard(sent(request)));
}

const told = (name: keyof typeof recorded) =>
  [...messagesOf(Buffer.from(recorded[name], 'hex'))].filter(({ type }) => type !== NLMSG_DONE);

describe('requests are read as they were meant', () => {
  it('a device', () => {
    const device = fc.record({ name: fc.constant('ovlwg0'), privateKey: maybe(key), port: maybe(port) });
    fc.assert(
      fc.property(device, fc.boolean(), peersOf(20, 3), (wanted, replacePeers, peers) => {
        const parts = partsOf({ ...wanted, replacePeers, peers });
        const seen = joinWireguard(parts)!;
        expect(seen).toMatchObject({ ...wanted, flags: replacePeers ? WGDEVICE_F_REPLACE_PEERS : 0 });
        expect(seen.peers).toMatchObject(peers.map((each) => ({ ...each, flags: WGPEER_F_REPLACE_ALLOWEDIPS })));
      }),
    );
  });

  it('of so many peers that they take several messages, which say once what is replaced', () => {
    fc.assert(
      fc.property(peersOf(12, 2_000), (peers) => {
        const parts = partsOf({ name: 'ovlwg0', port: 7, replacePeers: true, peers });
        expect(parts.map(({ name }) => name)).toEqual(parts.map(() => 'ovlwg0'));
        expect(parts.map(({ port: at, flags }) => [at, flags])).toEqual(
          parts.map((_, nth) => (nth === 0 ? [7, WGDEVICE_F_REPLACE_PEERS] : [undefined, 0])),
        );
        // Of a peer that goes on in the next message what it has stays.
        const seen = new Map<string, number[]>();
        for (const { publicKey, flags } of parts.flatMap((part) => part.peers))
          seen.set(publicKey, [...(seen.get(publicKey) ?? []), flags]);
        for (const [first, ...others] of seen.values())
          expect([first, ...others]).toEqual([WGPEER_F_REPLACE_ALLOWEDIPS, ...others.map(() => 0)]);
        expect(joinWireguard(parts)!.peers).toMatchObject(peers);
      }),
      { numRuns: 20 },
    );
  });

  it('has each message far shorter than a socket takes', () => {
    const peers = Array.from({ length: 2_000 }, (_, at) => ({
      publicKey: Buffer.alloc(32, at).toString('base64'),
      allowedIps: ['198.18.0.1/32'],
    }));
    const requests = setWireguard(FAMILY, { name: 'ovlwg0', peers });
    expect(requests.length).toBeGreaterThan(5);
    for (const request of requests) expect(messageBytes(request)).toBeLessThan(20_000);
  });

  it('a peer that goes', () => {
    const publicKey = Buffer.alloc(32, 7).toString('base64');
    const [part] = partsOf({ name: 'ovlwg0', peers: [{ publicKey, remove: true }] });
    expect(part).toMatchObject({ privateKey: undefined, port: undefined, flags: 0 });
    expect(part!.peers).toMatchObject([{ publicKey, flags: WGPEER_F_REMOVE_ME, allowedIps: [], endpoint: undefined }]);
  });

  it('a link, and what is asked for', () => {
    expect(decodeLink(sent(newWireguard({ name: 'ovlwg0', mtu: 1_420 })))).toMatchObject({
      ...{ name: 'ovlwg0', mtu: 1_420, kind: 'wireguard', mac: '' },
    });
    expect(decodeWireguard(sent(getWireguard(FAMILY, 'ovlwg1'))).name).toBe('ovlwg1');
    expect(sent(getFamily('wireguard')).type).toBe(GENL_ID_CTRL);
  });
});

describe('what a kernel has told', () => {
  const device = (name: keyof typeof recorded) => joinWireguard(told(name).map(decodeWireguard))!;
  const none = { endpoint: undefined, lastHandshakeMs: undefined, receivedBytes: 0, sentBytes: 0, flags: 0 };

  it('of the family', () => {
    expect(told('family: wireguard').map(decodeFamily)).toEqual([FAMILY]);
  });

  it('of a link', () => {
    expect(told('link: wireguard').map(decodeLink)).toMatchObject([{ name: 'ovlwg0', kind: 'wireguard', mac: '' }]);
  });

  it('of a device that is new, and of one without a key', () => {
    const nothing = { privateKey: undefined, publicKey: undefined, peers: [] };
    expect(device('device: new')).toMatchObject({ name: 'ovlwg0', port: 0, ...nothing });
    expect(device('device: no key')).toMatchObject({ name: 'ovlwg0', port: 51_820, ...nothing });
  });

  it('of peers', () => {
    // The kernel sets the bits that the algorithm sets (RFC 7748, 5).
    const privateKey = Buffer.from([0, ...Array<number>(30).fill(1), 0x41]).toString('base64');
    const seen = device('device: peers');
    expect(seen).toMatchObject({
      ...{ name: 'ovlwg0', port: 51_820 },
      privateKey,
      publicKey: publicKeyOf(privateKey),
    });
    expect(seen.peers).toEqual([
      {
        ...none,
        publicKey: expect.any(String),
        endpoint: '10.77.0.2:51820',
        allowedIps: ['198.18.0.2/32', '198.19.0.2/32'],
        keepaliveSeconds: 0,
        lastHandshakeMs: expect.any(Number),
        receivedBytes: 220,
        sentBytes: 276,
      },
      {
        ...none,
        publicKey: expect.any(String),
        endpoint: '[fd00::9]:51821',
        allowedIps: ['198.18.0.3/32', 'fd00::/64'],
        keepaliveSeconds: 25,
      },
      { ...none, publicKey: expect.any(String), allowedIps: [], keepaliveSeconds: 0 },
    ]);
  });

  it('of a peer that takes more than one message', () => {
    const parts = told('device: a peer over several messages').map(decodeWireguard);
    expect(parts.length).toBeGreaterThan(1);
    const { peers } = joinWireguard(parts)!;
    expect(new Set(peers.map(({ publicKey }) => publicKey)).size).toBe(peers.length);
    const all = parts.flatMap((part) => part.peers.flatMap(({ allowedIps }) => allowedIps));
    expect(peers.flatMap(({ allowedIps }) => allowedIps)).toEqual(all);
  });
});
