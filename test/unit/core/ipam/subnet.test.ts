import { describe, expect, it } from 'vitest';
import { formatCidr, requireCidr } from '../../../../src/core/ip.ts';
import { checkSubnet, chooseSubnet, routeHolders } from '../../../../src/core/ipam/subnet.ts';

const holder = (text: string, who = 'network web') => ({ block: requireCidr(text, 'holder'), who });
const pools = [{ base: '10.0.0.0/8', prefix: 24 }];

describe('automatic choice', () => {
  it('takes the lowest free block', () => {
    expect(formatCidr(chooseSubnet(pools, []))).toBe('10.0.0.0/24');
    expect(formatCidr(chooseSubnet(pools, [holder('10.0.0.0/24'), holder('10.0.2.0/24')]))).toBe('10.0.1.0/24');
  });

  it('steps over larger and unaligned blocks', () => {
    expect(formatCidr(chooseSubnet(pools, [holder('10.0.0.0/15'), holder('10.2.0.16/28')]))).toBe('10.2.1.0/24');
  });

  it('goes on in the next pool, and says so when all are used up', () => {
    const small = [
      { base: '10.0.0.0/24', prefix: 25 },
      { base: '192.168.0.0/24', prefix: 24 },
    ];
    expect(formatCidr(chooseSubnet(small, [holder('10.0.0.0/24')]))).toBe('192.168.0.0/24');
    expect(() => chooseSubnet(small, [holder('10.0.0.0/24'), holder('192.168.0.0/16')])).toThrow(
      'no available subnets',
    );
  });

  it('passes over routes of member hosts, but not default routes and nodes that left', () => {
    const holders = routeHolders([
      { name: 'h1', left: false, hostRoutes: ['10.0.0.0/24', '0.0.0.0/0'] },
      { name: 'h2', left: true, hostRoutes: ['10.0.1.0/24'] },
    ]);
    expect(formatCidr(chooseSubnet(pools, holders))).toBe('10.0.1.0/24');
  });
});

describe('a subnet that was asked for', () => {
  it.each([
    ['10.0.1', 'subnet: "10.0.1" is not an IPv4 CIDR; write it like 10.0.1.0/24'],
    ['10.0.1.0/33', 'is not an IPv4 CIDR'],
    ['10.0.1.5/24', 'subnet: 10.0.1.5/24 has host bits set; did you mean 10.0.1.0/24?'],
    ['10.0.1.0/32', 'is not between /8 and /31'],
    ['127.0.0.0/16', 'the loopback range'],
    ['224.0.0.0/8', 'multicast'],
    ['10.0.5.0/25', 'pool overlaps with other one on this address space: 10.0.5.0/24 of network web'],
    ['10.0.0.0/16', 'pool overlaps'],
    ['192.168.7.0/24', '192.168.0.0/16 of a route of host h2'],
  ])('%s is refused', (text, message) => {
    const holders = [holder('10.0.5.0/24'), holder('192.168.0.0/16', 'a route of host h2')];
    expect(() => checkSubnet(text, holders)).toThrow(message);
  });
});
