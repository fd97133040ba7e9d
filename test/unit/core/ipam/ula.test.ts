import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { containsCidr, formatCidr, isCanonical, overlaps, requireCidr, subnetAt } from '../../../../src/core/cidr.ts';
import { checkSubnet, chooseSubnet, type Holder } from '../../../../src/core/ipam/subnet.ts';
import { drawUlaPrefix, ulaPools } from '../../../../src/core/ipam/ula.ts';

const ULA = requireCidr('fd00::/8', 'range');
const of = (hex: string) => drawUlaPrefix({ hex: () => hex });
const held = (index: bigint, prefix: number): Holder => ({
  block: subnetAt(requireCidr('fd12:3456:789a::/48', 'prefix'), prefix, index)!,
  who: 'network web',
  kind: 'network',
});

describe('the prefix of a cluster', () => {
  it('is fd and 40 bits by chance', () => {
    expect(of('123456789a')).toBe('fd12:3456:789a::/48');
    expect(of('0000000000')).toBe('fd00::/48');
    const drawn = Array.from({ length: 100 }, () =>
      drawUlaPrefix({ hex: (bytes) => randomBytes(bytes).toString('hex') }),
    );
    expect(new Set(drawn).size).toBe(100);
    for (const text of drawn) {
      const block = requireCidr(text, 'prefix');
      expect([block.prefix, isCanonical(block), containsCidr(ULA, block)]).toEqual([48, true, true]);
    }
  });
});

describe('an automatic subnet of IPv6', () => {
  const choose = (...holders: Holder[]) => formatCidr(chooseSubnet(ulaPools('fd12:3456:789a::/48'), holders));

  it('is the first free /64', () => {
    expect(choose()).toBe('fd12:3456:789a::/64');
    expect(choose(held(0n, 64), held(2n, 64))).toBe('fd12:3456:789a:1::/64');
    expect(() => choose(held(0n, 48))).toThrow('no available subnets: fd12:3456:789a::/48 in /64 steps is used up');
  });

  it('is one that could have been asked for, and overlaps nothing', () => {
    // Twelve of the largest leave four of sixteen.
    const holder = fc
      .integer({ min: 52, max: 72 })
      .chain((prefix) => fc.bigInt(0n, (1n << BigInt(prefix - 48)) - 1n).map((index) => held(index, prefix)));
    fc.assert(
      fc.property(fc.array(holder, { maxLength: 12 }), (holders) => {
        const text = choose(...holders);
        expect(formatCidr(checkSubnet(text, holders))).toBe(text);
        expect(holders.some(({ block }) => overlaps(block, requireCidr(text, 'subnet')))).toBe(false);
      }),
    );
  });
});
