import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generatePrivateKey, keyBytes, publicKeyOf } from '../../../../src/adapters/wireguard/keys.ts';
import { readDevice, readErrno, renderSet } from '../../../../src/adapters/wireguard/uapi-text.ts';

/** Of RFC 7748, 6.1: Alice's and Bob's. */
const ALICE = {
  privateKey: Buffer.from('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a', 'hex').toString('base64'),
  publicKey: Buffer.from('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a', 'hex').toString('base64'),
};
const BOB = Buffer.from('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f', 'hex').toString('base64');

describe('keys', () => {
  it('go in pairs', () => {
    expect(publicKeyOf(ALICE.privateKey)).toBe(ALICE.publicKey);
    expect(keyBytes(generatePrivateKey())).toHaveLength(32);
    const one = generatePrivateKey();
    expect(publicKeyOf(one)).toBe(publicKeyOf(one));
    expect(publicKeyOf(one)).not.toBe(publicKeyOf(generatePrivateKey()));
  });

  it.each(['', 'x', `${BOB}=`, BOB.slice(4), BOB.replace('=', '')])('are told from what is none: "%s"', (text) => {
    expect(() => keyBytes(text)).toThrow('32 bytes');
  });
});

describe('requests', () => {
  it('say nothing of others by an endpoint that has several lines', () => {
    const endpoint = '192.0.2.1:7\nallowed_ip=0.0.0.0/0';
    expect(() => renderSet({ peers: [{ publicKey: BOB, endpoint }] })).toThrow('is no endpoint');
  });

  it('say what is given, and nothing else', () => {
    expect(renderSet({})).toBe('set=1\n\n');
    const peer = { endpoint: '[2001:db8::1]:7', allowedIps: ['198.18.0.2/32', '198.19.0.2/32'], keepaliveSeconds: 25 };
    const text = renderSet({
      privateKey: ALICE.privateKey,
      port: 51_840,
      replacePeers: true,
      peers: [
        { publicKey: BOB, ...peer },
        { publicKey: BOB, remove: true },
      ],
    });
    expect(text.split('\n')).toEqual([
      'set=1',
      `private_key=${keyBytes(ALICE.privateKey).toString('hex')}`,
      'listen_port=51840',
      'replace_peers=true',
      `public_key=${keyBytes(BOB).toString('hex')}`,
      'endpoint=[2001:db8::1]:7',
      'replace_allowed_ips=true',
      'allowed_ip=198.18.0.2/32',
      'allowed_ip=198.19.0.2/32',
      'persistent_keepalive_interval=25',
      `public_key=${keyBytes(BOB).toString('hex')}`,
      'update_only=true',
      'remove=true',
      '',
      '',
    ]);
  });

  it('are answered by what they set', () => {
    const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64'));
    const peer = fc.record({
      publicKey: key,
      endpoint: fc.constantFrom(undefined, '192.0.2.1:7', '[2001:db8::1]:65535'),
      allowedIps: fc.uniqueArray(fc.constantFrom('198.18.0.1/32', '198.19.0.1/32', '2001:db8::/64')),
      keepaliveSeconds: fc.nat(65_535),
    });
    fc.assert(
      fc.property(fc.nat(65_535), fc.array(peer), (port, peers) => {
        const seen = readDevice(`${renderSet({ port, peers })}errno=0\n\n`);
        expect(seen).toMatchObject({ port, peers });
      }),
    );
  });
});

describe('answers', () => {
  it('are whole when they say how it went', () => {
    expect(readErrno('')).toBeUndefined();
    expect(readErrno('listen_port=1\nerrno=0\n')).toBeUndefined();
    expect(readErrno('listen_port=1\nerrno=0\n\n')).toBe(0);
    expect(readErrno('errno=-98\n\n')).toBe(98);
  });

  it('have more in them than is asked about', () => {
    const hex = (key: string) => keyBytes(key).toString('hex');
    const lines = [
      `private_key=${hex(ALICE.privateKey)}`,
      'fwmark=3',
      `public_key=${hex(BOB)}`,
      `preshared_key=${'0'.repeat(64)}`,
      'protocol_version=1',
      'endpoint=192.0.2.7:51840',
      'last_handshake_time_sec=1700000000',
      'last_handshake_time_nsec=250999999',
      'tx_bytes=276',
      'rx_bytes=220',
      'persistent_keepalive_interval=0',
      'allowed_ip=198.18.0.2/32',
      `public_key=${hex(ALICE.publicKey)}`,
      'last_handshake_time_sec=0',
      'last_handshake_time_nsec=0',
      'new_of_a_later_release=1',
      'errno=0',
      '',
      '',
    ];
    const none = {
      endpoint: undefined,
      keepaliveSeconds: 0,
      lastHandshakeMs: undefined,
      receivedBytes: 0,
      sentBytes: 0,
    };
    expect(readDevice(lines.join('\n'))).toEqual({
      publicKey: ALICE.publicKey,
      port: 0,
      peers: [
        {
          ...{ publicKey: BOB, endpoint: '192.0.2.7:51840', keepaliveSeconds: 0, lastHandshakeMs: 1_700_000_000_250 },
          ...{ allowedIps: ['198.18.0.2/32'], receivedBytes: 220, sentBytes: 276 },
        },
        { publicKey: ALICE.publicKey, allowedIps: [], ...none },
      ],
    });
  });

  it('of a device without a key have none', () => {
    expect(readDevice(`private_key=${'0'.repeat(64)}\nlisten_port=7\nerrno=0\n\n`)).toEqual({
      ...{ publicKey: undefined, port: 7, peers: [] },
    });
  });
});
