import { expect, test } from 'vitest';
import { requireCidr } from '../../../../src/core/cidr.ts';
import { parseReverse, reverseNameOf } from '../../../../src/core/dns/reverse.ts';

test.each([
  ['10.0.1.0/24', '1.0.10.in-addr.arpa'],
  ['10.0.0.0/8', '10.in-addr.arpa'],
  ['fd00:c1::/64', '0.0.0.0.0.0.0.0.1.c.0.0.0.0.d.f.ip6.arpa'],
])('%s is %s, and the other way round', (cidr, name) => {
  expect(reverseNameOf(requireCidr(cidr, 'it'))).toBe(name);
  expect(parseReverse(name)?.block).toEqual(requireCidr(cidr, 'it'));
});

test.each(['10.0.0.0/20', '10.0.0.0/25', '0.0.0.0/0', 'fd00::/63'])('no name stands for just %s', (cidr) => {
  expect(reverseNameOf(requireCidr(cidr, 'it'))).toBeUndefined();
});
