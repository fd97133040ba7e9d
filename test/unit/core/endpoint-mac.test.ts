import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ipAt, requireCidr } from '../../../src/core/cidr.ts';
import { derivedMac, hasMacClaim, proposedMac } from '../../../src/core/endpoint-mac.ts';
import { formatIp } from '../../../src/core/ip.ts';

const ips = (...texts: readonly string[]) => texts.map((ip) => ({ subnet: '', ip }));

it('follows from the IPv4 address, wherever it stands; from IPv6 alone none does', () => {
  expect(derivedMac(ips('10.0.1.5', 'fd00:0:0:1::5'))).toBe('02:42:0a:00:01:05');
  expect(derivedMac(ips('fd00:0:0:1::5', '10.0.1.5'))).toBe('02:42:0a:00:01:05');
  expect(derivedMac(ips('fd00:0:0:1::5'))).toBeUndefined();
});

it('has a claim of its own unless it follows from an address', () => {
  expect(hasMacClaim({ addresses: ips('10.0.1.5', 'fd00:0:0:1::5'), mac: '02:42:0a:00:01:05' })).toBe(false);
  expect(hasMacClaim({ addresses: ips('10.0.1.5'), mac: '02:42:0a:00:01:06' })).toBe(true);
  expect(hasMacClaim({ addresses: ips('fd00:0:0:1::5'), mac: proposedMac('fd00:0:0:1::5') })).toBe(true);
});

it('proposals are unicast, locally administered, and like no MAC of IPv4 or of the gateway', () => {
  expect(proposedMac('fd00:0:0:1::5')).toBe('62:00:01:00:00:05');
  expect(proposedMac('fd00:0:0:1::5', 1)).toBe('62:00:01:00:00:06');
  expect(proposedMac('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 3)).toMatch(/^62(:[0-9a-f]{2}){5}$/);
  expect(() => proposedMac('10.0.1.5')).toThrow('no MAC is proposed for "10.0.1.5"');
});

it('proposals differ among the addresses that subnets of one /48 give out', () => {
  const address = fc.record({ subnet: fc.nat(0xffff), offset: fc.nat(0xff_ffff) });
  const base = requireCidr('fd12:3456:789a::/48', 'base');
  const textOf = ({ subnet, offset }: { subnet: number; offset: number }) =>
    formatIp(ipAt(base, (BigInt(subnet) << 64n) | BigInt(offset))!);
  fc.assert(
    fc.property(fc.uniqueArray(address, { selector: textOf, maxLength: 50 }), (all) => {
      const macs = all.map((each) => proposedMac(textOf(each)));
      expect(new Set(macs).size).toBe(all.length);
    }),
  );
});

it('one address has as many proposals as anyone may need', () => {
  const proposals = Array.from({ length: 1_000 }, (_, nth) => proposedMac('fd00::ffff:ffff:ffff:ffff', nth));
  expect(new Set(proposals).size).toBe(1_000);
});
