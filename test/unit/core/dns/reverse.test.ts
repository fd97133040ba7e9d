import fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonical, formatCidr } from '../../../../src/core/cidr.ts';
import { parseReverse } from '../../../../src/core/dns/reverse.ts';
import { bytesOf, type Family, type Ip, ipOfBytes } from '../../../../src/core/ip.ts';

/** As RFC 1035, 3.5, and RFC 3596, 2.5, make them, of so many labels. */
function reverseOf(ip: Ip, labels: number): string {
  const hex = Buffer.from(bytesOf(ip)).toString('hex');
  const all = ip.family === 4 ? [...bytesOf(ip)].map(String) : [...hex];
  return [...all.slice(0, labels).reverse(), ip.family === 4 ? 'in-addr.arpa' : 'ip6.arpa'].join('.');
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ips = fc.oneof(bytes(4), bytes(16)).map((each) => ipOfBytes(each)!);
const BITS_PER_LABEL: Readonly<Record<Family, number>> = { 4: 8, 6: 4 };

it('a name is the block of its labels, and what is in front of them is below it', () => {
  fc.assert(
    fc.property(
      ips,
      fc.integer({ min: 1, max: 32 }),
      fc.constantFrom('', 'x.', '_tcp.256.', '010.'),
      (ip, any, front) => {
        const labels = ip.family === 4 ? 1 + (any % 4) : any;
        const found = parseReverse(`${front}${reverseOf(ip, labels)}`);
        expect(found).toEqual({
          block: canonical({ ip, prefix: labels * BITS_PER_LABEL[ip.family] }),
          below: front !== '',
          apex: ip.family === 4 ? 'in-addr.arpa' : 'ip6.arpa',
        });
      },
    ),
  );
});

it('what is more than an address is below it', () => {
  const whole = `${'0.'.repeat(31)}f.ip6.arpa`;
  expect(formatCidr(parseReverse(whole)!.block)).toBe('f000::/128');
  expect(parseReverse(`1.${whole}`)).toMatchObject({ below: true, block: parseReverse(whole)!.block });
  expect(parseReverse('9.5.1.0.10.in-addr.arpa')).toMatchObject({ below: true, block: { prefix: 32 } });
});

it.each([
  'in-addr.arpa',
  'ip6.arpa',
  'x.in-addr.arpa',
  '00.ip6.arpa',
  'g.ip6.arpa',
  '1.arpa',
  '1.in-addr.arpa.web',
  '',
])('%j is no block', (name) => {
  expect(parseReverse(name)).toBeUndefined();
});
