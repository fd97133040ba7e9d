import { describe, expect, it } from 'vitest';
import { formatCidr, requireCidr } from '../../../../src/core/cidr.ts';
import { checkSubnet, checkSubnets, chooseSubnet, type Holder } from '../../../../src/core/ipam/subnet.ts';

const holder = (text: string, who = 'network web', kind: Holder['kind'] = 'network'): Holder => ({
  block: requireCidr(text, 'holder'),
  who,
  kind,
});
const route = (text: string) => holder(text, 'a route of host h2', 'route');
const link = (text: string) => holder(text, 'a route of host h2', 'link');
const address = (text: string, bits = 32) => holder(`${text}/${bits}`, 'a name server of host h2', 'address');
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

  it('passes over routes and needed addresses of member hosts', () => {
    const holders = [address('10.0.0.2'), link('10.0.1.0/24'), route('10.0.2.128/25')];
    expect(formatCidr(chooseSubnet(pools, holders))).toBe('10.0.3.0/24');
  });

  const further = [...pools, { base: '172.16.0.0/12', prefix: 24 }];

  it('goes on in further pools before it takes a block that a wide route covers', () => {
    expect(formatCidr(chooseSubnet(further, [route('10.0.0.0/8')]))).toBe('172.16.0.0/24');
    const covered = [route('10.0.0.0/8'), route('172.16.0.0/12'), address('10.0.0.2'), holder('10.0.1.0/24')];
    expect(formatCidr(chooseSubnet(further, covered))).toBe('10.0.2.0/24');
  });

  it('never takes a block of a link, or one that a route of its own size leads to, but for an internal network', () => {
    expect(() => chooseSubnet(pools, [link('10.0.0.0/8')])).toThrow('used up by 10.0.0.0/8, a route of host h2;');
    expect(formatCidr(chooseSubnet(pools, [link('10.0.0.0/8')], true))).toBe('10.0.0.0/24');
    const small = [{ base: '10.0.0.0/24', prefix: 24 }];
    expect(() => chooseSubnet(small, [route('10.0.0.0/17')])).toThrow('10.0.0.0/17, a route of host h2');
    expect(() => chooseSubnet(small, [address('10.0.0.2')], true)).toThrow('10.0.0.2, a name server of host h2');
  });

  it('says what is in the way, and to prune only when networks are', () => {
    const small = [{ base: '10.0.0.0/24', prefix: 25 }];
    const message = (holders: readonly Holder[]) => {
      try {
        return formatCidr(chooseSubnet(small, holders));
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(message([link('10.0.0.0/16')])).toBe(
      'no available subnets: 10.0.0.0/24 in /25 steps is used up by 10.0.0.0/16, a route of host h2; name one elsewhere with --subnet',
    );
    expect(message([holder('10.0.0.0/25'), link('10.0.0.128/25')])).toBe(
      'no available subnets: 10.0.0.0/24 in /25 steps is used up by 1 network; 10.0.0.128/25, a route of host h2; name one elsewhere with --subnet, or remove networks (overlayd network prune)',
    );
  });
});

describe('a subnet that was asked for', () => {
  it.each([
    ['10.0.1', 'subnet: "10.0.1" is not a CIDR; write it like 10.0.1.0/24 or fd00:0:0:1::/64'],
    ['10.0.1.0/33', 'is not a CIDR'],
    ['10.0.1.5/24', 'subnet: 10.0.1.5/24 has host bits set; did you mean 10.0.1.0/24?'],
    ['10.0.1.0/32', 'is not between /8 and /31'],
    ['127.0.0.0/16', 'the loopback range'],
    ['224.0.0.0/8', 'multicast'],
    ['10.0.5.0/25', 'pool overlaps with other one on this address space: 10.0.5.0/24 of network web'],
    ['10.0.0.0/16', 'pool overlaps'],
    ['240.0.0.0/16', 'reserved'],
    ['169.254.53.0/24', 'link-local'],
    ['192.168.7.0/24', 'pool overlaps with other one on this address space: 192.168.0.0/16, a route of host h2'],
    ['172.16.0.0/24', '172.16.0.0/23, a route of host h2; choose a subnet outside of it'],
    ['172.16.0.0/13', '172.16.0.0/23, a route of host h2'],
    ['10.9.0.0/24', '10.9.0.2, a name server of host h2; choose a subnet without it'],
    ['fd00:1::1/64', 'subnet: fd00:1::1/64 has host bits set; did you mean fd00:1::/64?'],
    ['fd00:1::/128', 'is not between /32 and /127 in size; use e.g. a /64'],
    ['fd00::/16', 'is not between /32 and /127'],
    ['::/64', 'the loopback and of IPv4-mapped addresses (RFC 4291); use a private range like fd12:3456:789a:1::/64'],
    ['::ffff:10.0.0.0/120', 'is an IPv4 address written as IPv6'],
    ['64:ff9b::/96', 'IPv4-mapped'],
    ['100::/64', 'discard-only'],
    ['fe80::/64', 'link-local'],
    ['fec0:1::/64', 'site-local'],
    ['ff05::/64', 'multicast'],
    ['fd00:5::/64', 'pool overlaps with other one on this address space: fd00:5::/64 of network six'],
    ['fd00:5::/48', 'fd00:5::/64 of network six'],
    ['fd00:6::/64', 'fd00:6::/56, a route of host h2; choose a subnet outside of it'],
    ['fd00:9::/64', 'fd00:9::2, a name server of host h2; choose a subnet without it'],
  ])('%s is refused', (text, message) => {
    const holders = [
      ...[holder('10.0.5.0/24'), link('192.168.0.0/16'), route('172.16.0.0/23'), address('10.9.0.2')],
      ...[holder('fd00:5::/64', 'network six'), link('fd00:6::/56'), address('fd00:9::2', 128)],
    ];
    expect(() => checkSubnet(text, holders)).toThrow(message);
  });

  it('of IPv6 may be of a range for documentation, or of an owner', () => {
    for (const text of ['2001:db8:1::/64', 'fd00:1::/64', '2a00:1450::/48', 'fd00:1::/127', 'FD00:0:1::/48']) {
      expect(formatCidr(checkSubnet(text, []))).toBe(formatCidr(requireCidr(text, 'subnet')));
    }
  });

  it('is not held by what is of the other family', () => {
    const six = [holder('fd00::/32'), address('fd00:1::1', 128), link('a00::/16')];
    expect(formatCidr(checkSubnet('10.0.5.0/24', six))).toBe('10.0.5.0/24');
    expect(formatCidr(checkSubnet('fd01::/64', [holder('253.1.0.0/16'), link('0.0.0.0/2')]))).toBe('fd01::/64');
  });

  it('is not held by routes that are much wider than it', () => {
    expect(formatCidr(checkSubnet('fd00:5::/64', [route('fd00::/8'), route('fd00:5::/56')]))).toBe('fd00:5::/64');
    expect(() => checkSubnet('fd00:5::/64', [route('fd00:5::/57')])).toThrow('fd00:5::/57');
    expect(formatCidr(checkSubnet('10.0.5.0/24', [route('10.0.0.0/8'), route('10.0.0.0/16')]))).toBe('10.0.5.0/24');
    expect(() => checkSubnet('10.0.5.0/24', [route('10.0.0.0/17')])).toThrow('10.0.0.0/17');
    expect(() => checkSubnet('10.0.5.0/24', [link('10.0.0.0/8')])).toThrow('10.0.0.0/8');
  });

  it('of an internal network is held by no route', () => {
    const routes = [link('10.0.0.0/8'), route('10.0.5.0/25')];
    expect(formatCidr(checkSubnet('10.0.5.0/24', routes, true))).toBe('10.0.5.0/24');
    expect(() => checkSubnet('10.0.5.0/24', [address('10.0.5.2')], true)).toThrow('10.0.5.2');
  });
});

describe('subnets of one network', () => {
  it('do not overlap each other, nor what others hold', () => {
    expect(checkSubnets(['10.0.1.0/24', '10.0.2.0/24'], []).map(formatCidr)).toEqual(['10.0.1.0/24', '10.0.2.0/24']);
    expect(() => checkSubnets(['10.0.1.0/24', '10.0.0.0/23'], [])).toThrow('10.0.1.0/24 of the same network');
    expect(() => checkSubnets(['10.0.1.0/24', '10.0.1.0/24'], [])).toThrow('10.0.1.0/24 of the same network');
    expect(() => checkSubnets(['10.0.1.0/24', '10.0.2.0/24'], [holder('10.0.2.0/25')])).toThrow('of network web');
  });

  it('are not more than one transaction takes', () => {
    const many = Array.from({ length: 65 }, (_, i) => `10.0.${i}.0/24`);
    expect(checkSubnets(many.slice(1), [])).toHaveLength(64);
    expect(() => checkSubnets(many, [])).toThrow('64 subnets at most');
  });
});
