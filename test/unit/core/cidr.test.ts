/** Oracles: bits one by one, and node's `BlockList`. */
import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blockOf,
  type Cidr,
  canonical,
  contains,
  containsCidr,
  firstOf,
  formatCidr,
  ipAt,
  isCanonical,
  isSingle,
  kindOf,
  lastOf,
  offsetOf,
  overlaps,
  parseCidr,
  requireCidr,
  sizeOf,
  subnetAt,
} from '../../../src/core/cidr.ts';
import { BITS, bytesOf, type Family, formatIp, type Ip, parseIp } from '../../../src/core/ip.ts';

const families = fc.constantFrom<Family>(4, 6);
const ipOf = (family: Family) =>
  fc.bigInt({ min: 0n, max: 2n ** BigInt(BITS[family]) - 1n }).map((value): Ip => ({ family, value }));
const blockIn = (family: Family) =>
  fc.tuple(ipOf(family), fc.nat(BITS[family])).map(([ip, prefix]): Cidr => ({ ip, prefix }));
const blocks = families.chain(blockIn);
/** As likely inside as outside, at the very edge as anywhere. */
const near = (block: Cidr): fc.Arbitrary<Ip> => {
  const { family } = block.ip;
  const edges = [firstOf(block), lastOf(block)].flatMap((ip) =>
    [-1n, 0n, 1n].map((by) => ({ family, value: ip.value + by })),
  );
  return fc.oneof(
    ipOf(family),
    ipOf(family).map(({ value }) => ipAt(block, value % sizeOf(block))!),
    fc.constantFrom(...edges.filter(({ value }) => value >= 0n && value < 2n ** BigInt(BITS[family]))),
  );
};

const bits = (ip: Ip) => [...bytesOf(ip)].map((byte) => byte.toString(2).padStart(8, '0')).join('');

describe('a block', () => {
  it('contains what begins with its bits, as node has it', () => {
    fc.assert(
      fc.property(
        blocks.chain((block) => fc.tuple(fc.constant(block), near(block))),
        ([block, ip]) => {
          const expected = bits(ip).startsWith(bits(block.ip).slice(0, block.prefix));
          expect(contains(block, ip)).toBe(expected);
          const list = new BlockList();
          const family = block.ip.family === 4 ? 'ipv4' : 'ipv6';
          list.addSubnet(formatIp(block.ip), block.prefix, family);
          expect(list.check(formatIp(ip), family)).toBe(expected);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('begins with zeros, ends with ones, and is as large as it is long', () => {
    fc.assert(
      fc.property(blocks, (block) => {
        const { ip, prefix } = block;
        const host = BITS[ip.family] - prefix;
        expect(bits(firstOf(block))).toBe(bits(ip).slice(0, prefix) + '0'.repeat(host));
        expect(bits(lastOf(block))).toBe(bits(ip).slice(0, prefix) + '1'.repeat(host));
        expect(sizeOf(block)).toBe(lastOf(block).value - firstOf(block).value + 1n);
        expect(canonical(block)).toEqual({ ip: firstOf(block), prefix });
        expect(isCanonical(canonical(block))).toBe(true);
        expect(isCanonical(block)).toBe(ip.value === firstOf(block).value);
        expect(parseCidr(formatCidr(block))).toEqual(block);
        expect(isSingle(block)).toBe(host === 0);
      }),
    );
  });

  it('holds or overlaps another one where their addresses do', () => {
    const pairs = families.chain((family) =>
      fc
        .tuple(blockIn(family), blockIn(family), fc.boolean())
        .map(([a, b, same]) => [a, same ? { ...b, ip: a.ip } : b] as const),
    );
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        const [firstA, lastA, firstB, lastB] = [firstOf(a), lastOf(a), firstOf(b), lastOf(b)].map(({ value }) => value);
        expect(containsCidr(a, b)).toBe(firstA! <= firstB! && lastB! <= lastA!);
        expect(overlaps(a, b)).toBe(firstA! <= lastB! && firstB! <= lastA!);
        expect(overlaps(b, a)).toBe(overlaps(a, b));
      }),
    );
  });

  it('of one family has nothing to do with the other', () => {
    fc.assert(
      fc.property(blockIn(4), blockIn(6), (four, six) => {
        const all = { 4: parseCidr('0.0.0.0/0')!, 6: parseCidr('::/0')! };
        expect(contains(all[4], six.ip) || contains(all[6], four.ip)).toBe(false);
        expect(containsCidr(all[4], six) || containsCidr(all[6], four)).toBe(false);
        expect(overlaps(all[4], six) || overlaps(four, all[6]) || overlaps(four, six)).toBe(false);
        expect(offsetOf(all[6], four.ip)).toBeUndefined();
      }),
    );
  });

  it('numbers its addresses', () => {
    fc.assert(
      fc.property(blocks, fc.bigInt({ min: -2n, max: 2n ** 128n }), (block, any) => {
        const offset = any % (sizeOf(block) + 2n);
        const ip = ipAt(block, offset);
        const isInside = offset >= 0n && offset < sizeOf(block);
        expect(ip !== undefined && contains(block, ip)).toBe(isInside);
        if (ip) expect(offsetOf(block, ip)).toBe(offset);
        if (ip) expect(ip.value - firstOf(block).value).toBe(offset);
      }),
    );
  });

  it('is walked in smaller ones: each once, side by side, all of it', () => {
    fc.assert(
      fc.property(blocks, fc.nat(8), ({ ip, prefix }, deeper) => {
        const block = { ip, prefix };
        const length = Math.min(prefix + deeper, BITS[ip.family]);
        let next = firstOf(block).value;
        let index = 0n;
        for (let each = subnetAt(block, length, 0n); each; each = subnetAt(block, length, ++index)) {
          expect(each).toEqual({ ip: { family: ip.family, value: next }, prefix: length });
          expect(isCanonical(each) && containsCidr(block, each)).toBe(true);
          next = lastOf(each).value + 1n;
        }
        expect(index).toBe(2n ** BigInt(length - prefix));
        expect(next).toBe(lastOf(block).value + 1n);
        expect(subnetAt(block, prefix - 1, 0n)).toBeUndefined();
        expect(subnetAt(block, length, -1n)).toBeUndefined();
      }),
    );
  });
});

describe('text', () => {
  it.each([
    '10.0.1.0',
    '10.0.1.0/',
    '10.0.1.0/33',
    '10.0.1.0/024',
    '10.0.1.0/-1',
    '/24',
    '::/129',
    '::/1/2',
    '::1%lo/128',
  ])('%j is no block', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  it.each([
    ['10.0.1', undefined, 'subnet: "10.0.1" is not a CIDR; write it like 10.0.1.0/24 or fd00:0:0:1::/64'],
    ['fd00::/64', 4, 'subnet: "fd00::/64" is not an IPv4 CIDR; write it like 10.0.1.0/24'],
    ['10.0.1.0/24', 6, 'subnet: "10.0.1.0/24" is not an IPv6 CIDR; write it like fd00:0:0:1::/64'],
    ['::ffff:10.0.1.0/120', 6, 'subnet: "::ffff:10.0.1.0/120" is an IPv4 address written as IPv6'],
  ] as const)('%s of family %s is refused where a block is needed', (text, family, message) => {
    expect(() => requireCidr(text, 'subnet', family)).toThrow(message);
  });

  it('keeps host bits', () => {
    expect(formatCidr(requireCidr('FD00:0:0:1::5/64', 'subnet'))).toBe('fd00:0:0:1::5/64');
    expect(formatCidr(blockOf(parseIp('fd00::5')!))).toBe('fd00::5/128');
  });
});

it.each([
  ['unspecified', '0.0.0.0 0.255.255.255 ::'],
  ['loopback', '127.0.0.1 127.255.255.255 ::1'],
  ['link-local', '169.254.0.1 169.254.53.53 fe80::1 febf::1'],
  ['multicast', '224.0.0.1 239.255.255.255 ff02::1'],
  ['private', '10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 fd00::1 fc00::1'],
  ['other', '1.0.0.0 126.255.255.255 128.0.0.1 169.253.0.1 172.32.0.0 192.169.0.1 240.0.0.1 ::2 fec0::1 2001:db8::1'],
])('%s: %s', (kind, texts) => {
  expect(texts.split(' ').map((text) => kindOf(parseIp(text)!))).toEqual(texts.split(' ').map(() => kind));
});
