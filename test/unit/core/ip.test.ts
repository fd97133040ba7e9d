/** Oracles: node's own parser, `inet_ntop`, and how a URL writes an IPv6 address. */
import { isIP, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bytesOf,
  compareIps,
  familyOf,
  formatIp,
  formatIpv4Number,
  type Ip,
  ipOfBytes,
  isIpv4,
  linkLocalOf,
  macOf,
  parseIp,
  parseIpv4Number,
  requireIp,
} from '../../../src/core/ip.ts';

/** Groups are often zero, and often have leading zeros. */
const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xff }), fc.integer({ min: 0, max: 0xffff }));
const groups = fc.array(group, { minLength: 8, maxLength: 8 });
const octets = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 });
const bytes = fc.oneof(
  octets,
  groups.map((each) => each.flatMap((value) => [value >> 8, value & 255])),
);
const ips = bytes.map((each) => ipOfBytes(Uint8Array.from(each))!);

/** All ways to write the groups: leading zeros, capitals, zeros left out at any place, the end as IPv4. */
const spellings = fc
  .tuple(groups, fc.array(fc.nat(3), { minLength: 8, maxLength: 8 }), fc.boolean(), fc.boolean(), fc.nat(7), fc.nat(7))
  .map(([values, padding, upper, dotted, from, to]) => {
    const texts = values.map((value, i) => value.toString(16).padStart(padding[i]! + 1, '0'));
    const last = [values[6]! >> 8, values[6]! & 255, values[7]! >> 8, values[7]! & 255].join('.');
    const parts = dotted ? [...texts.slice(0, 6), last] : texts;
    const end = Math.min(to, dotted ? 5 : 7);
    const isZero = from <= end && values.slice(from, end + 1).every((value) => value === 0);
    const text = isZero ? `${parts.slice(0, from).join(':')}::${parts.slice(end + 1).join(':')}` : parts.join(':');
    return { values, text: upper ? text.toUpperCase() : text };
  });

describe('text', () => {
  it('of either family is what its bytes are, and comes back', () => {
    fc.assert(
      fc.property(ips, (ip) => {
        expect(parseIp(formatIp(ip))).toEqual(ip);
        expect(ipOfBytes(bytesOf(ip))).toEqual(ip);
        expect(isIP(formatIp(ip))).toBe(ip.family);
        expect(familyOf(formatIp(ip))).toBe(ip.family);
      }),
    );
  });

  it('of IPv4 is its bytes with dots', () => {
    fc.assert(
      fc.property(octets, (each) => {
        expect(formatIp(ipOfBytes(Uint8Array.from(each))!)).toBe(each.join('.'));
        expect(formatIpv4Number(parseIpv4Number(each.join('.')))).toBe(each.join('.'));
      }),
    );
  });

  it('of IPv6 may be any spelling, and is written as others write it', () => {
    fc.assert(
      fc.property(spellings, ({ values, text }) => {
        const ip = parseIp(text);
        expect(ip, text).toEqual({ family: 6, value: values.reduce((sum, value) => (sum << 16n) | BigInt(value), 0n) });
        const written = formatIp(ip!);
        const upper = ip!.value >> 32n;
        // A URL has no dots, and `inet_ntop` writes them also for what is not mapped.
        if (upper !== 0xffffn) expect(written).toBe(new URL(`http://[${text}]`).hostname.slice(1, -1));
        if (upper !== 0n) expect(written).toBe(new SocketAddress({ address: text, family: 'ipv6' }).address);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is refused where node refuses it', () => {
    const pieces = [
      '0',
      '1',
      '00',
      'ff',
      'FFFF',
      '12345',
      'g',
      ':',
      '::',
      '.',
      '10',
      '255',
      '256',
      '01',
      ' ',
      '/',
      '-',
    ];
    const text = fc.oneof(
      fc.array(fc.constantFrom(...pieces), { maxLength: 18 }).map((each) => each.join('')),
      fc
        .array(fc.constantFrom('0', '1', 'fe80', '', '10.0.0.1', '255'), { maxLength: 10 })
        .map((each) => each.join(':')),
      fc.array(fc.constantFrom('0', '1', '00', '255', '256', ''), { maxLength: 6 }).map((each) => each.join('.')),
      spellings
        .map((each) => each.text)
        .chain((each) => fc.nat(each.length).map((at) => `${each.slice(0, at)}${each.slice(at + 1)}`)),
    );
    fc.assert(
      fc.property(text, (each) => {
        expect(parseIp(each)?.family ?? 0, each).toBe(isIP(each));
        expect(isIpv4(each), each).toBe(isIP(each) === 4);
      }),
      { numRuns: 3_000 },
    );
  });

  it.each(['', '10.0.1', '10.0.1.5.6', '010.0.1.5', '10.0.1.05', '10.0.1.5 ', '0x0a.0.1.5', '1.2.3.256', '1..2.3'])(
    '%j is no address',
    (text) => {
      expect(parseIp(text)).toBeUndefined();
    },
  );

  it.each([
    ':',
    ':::',
    '1:::2',
    '1::2::3',
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7',
    '1:2:3:4::5:6:7:8',
    'fe80::1%eth0',
    '[::1]',
  ])('%j is no address either', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it.each([
    ['2001:DB8::0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is written %s (RFC 5952)', (text, written) => {
    expect(formatIp(parseIp(text)!)).toBe(written);
  });

  it('may have a zone only where its family alone is asked for', () => {
    expect(['fe80::1%eth0', 'fe80::1', '10.0.0.1', '10.0.0.1%eth0', 'fe80::1%', 'x'].map(familyOf)).toEqual([
      ...[6, 6, 4, undefined, undefined, undefined],
    ]);
  });
});

describe('an address that is needed', () => {
  it.each([
    ['10.0.1', undefined, 'ip: "10.0.1" is not an IP address; write it like 10.0.1.5 or fd00:0:0:1::5'],
    ['fd00::5', 4, 'ip: "fd00::5" is not an IPv4 address; write it like 10.0.1.5'],
    ['10.0.1.5', 6, 'ip: "10.0.1.5" is not an IPv6 address; write it like fd00:0:0:1::5'],
    ['::ffff:10.0.1.5', undefined, 'ip: "::ffff:10.0.1.5" is an IPv4 address written as IPv6; write 10.0.1.5'],
    ['::ffff:a00:105', 6, 'ip: "::ffff:a00:105" is an IPv4 address written as IPv6; write 10.0.1.5'],
  ] as const)('%s of family %s is refused', (text, family, message) => {
    expect(() => requireIp(text, 'ip', family)).toThrow(message);
  });

  it('may be of either family, or of the one that is asked for', () => {
    expect(requireIp('fd00::5', 'ip').family).toBe(6);
    expect(requireIp('10.0.1.5', 'ip', 4)).toEqual({ family: 4, value: 0x0a000105n });
  });
});

describe('order', () => {
  it('is that of the bytes, IPv4 first', () => {
    const sign = (each: number) => Math.sign(each);
    fc.assert(
      fc.property(ips, ips, (a, b) => {
        const expected = a.family - b.family || Buffer.compare(bytesOf(a), bytesOf(b));
        expect(sign(compareIps(a, b))).toBe(sign(expected));
        expect(compareIps(a, { ...a })).toBe(0);
      }),
    );
  });
});

describe('bytes', () => {
  it('are 4 or 16, and nothing of the last ones', () => {
    const first = bytesOf(parseIp('fd00::5')!);
    bytesOf(parseIp('10.0.1.5')!);
    expect([...first]).toEqual([0xfd, ...Array(14).fill(0), 5]);
    expect(ipOfBytes(Uint8Array.of(10, 0, 1, 5))).toEqual(parseIp('10.0.1.5'));
    for (const length of [0, 3, 5, 15, 17]) expect(ipOfBytes(new Uint8Array(length))).toBeUndefined();
  });
});

describe('the link-local address of a MAC', () => {
  it('is as RFC 4291 has it in appendix A, and as Linux makes it', () => {
    // 34-56-78-9A-BC-DE of RFC 2464, section 4.
    expect(linkLocalOf('34:56:78:9a:bc:de')).toBe('fe80::3656:78ff:fe9a:bcde');
    expect(linkLocalOf('02:42:0a:00:00:02')).toBe('fe80::42:aff:fe00:2');
  });
});

describe('the MAC of an address', () => {
  it('is 02:42 and the four bytes', () => {
    fc.assert(
      fc.property(octets, (each) => {
        const ip = ipOfBytes(Uint8Array.from(each)) as Ip;
        expect(macOf(ip)).toBe(['02', '42', ...each.map((byte) => byte.toString(16).padStart(2, '0'))].join(':'));
      }),
    );
  });

  it('follows from IPv4 alone', () => {
    expect(() => macOf(parseIp('fd00::5')!)).toThrow('no MAC follows');
  });
});
