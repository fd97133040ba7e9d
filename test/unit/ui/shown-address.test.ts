import { expect, it } from 'vitest';
import { shownAddress } from '../../../src/ui/shown-address.ts';

const of = (address: string, family = 'IPv4', internal = false) => ({ address, family, internal });
const OWN = {
  lo: [of('127.0.0.1', 'IPv4', true), of('::1', 'IPv6', true)],
  br0: [of('169.254.1.1')],
  eth0: [of('192.0.2.1'), of('fe80::1', 'IPv6'), of('2001:db8::1', 'IPv6')],
};

it.each([
  ['127.0.0.1', OWN, '127.0.0.1'],
  ['192.0.2.7', OWN, '192.0.2.7'],
  ['0.0.0.0', OWN, '192.0.2.1'],
  ['::', OWN, '2001:db8::1'],
  ['0.0.0.0', { lo: OWN.lo }, '127.0.0.1'],
  ['::', {}, '::1'],
])('a link to a page at %s can be opened', (listened, own, shown) => {
  expect(shownAddress(listened, own)).toBe(shown);
});
