import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, formatCidr, ipAt, requireCidr, sizeOf } from '../../../src/core/cidr.ts';
import { formatIp } from '../../../src/core/ip.ts';
import { draftNetwork, type NetworkRequest, specifySubnets } from '../../../src/core/network-request.ts';
import { networkRequest } from '../../fixtures/network-request.ts';

const request = (overrides: Partial<NetworkRequest> = {}) => networkRequest('web', overrides);

const subnet = (overrides: Partial<NetworkRequest>) =>
  specifySubnets([requireCidr('10.0.1.0/24', 'subnet')], request({ subnets: ['10.0.1.0/24'], ...overrides }))[0];

describe('a request', () => {
  it('is attachable unless that is refused', () => {
    expect(draftNetwork(request()).attachable).toBe(true);
    expect(draftNetwork(request({ attachable: false })).attachable).toBe(false);
  });

  it('has labels that each host can keep', () => {
    expect(draftNetwork(request({ labels: { team: 'a' } })).labels).toEqual({ team: 'a' });
    expect(() => draftNetwork(request({ labels: { big: 'x'.repeat(9_000) } }))).toThrow('a network has at most 64');
  });

  it('may fix the VNI', () => {
    const options = { 'com.docker.network.driver.overlay.vxlanid_list': '4100' };
    expect(draftNetwork(request({ options })).vni).toBe(4100);
  });

  it.each<[Partial<NetworkRequest>, readonly number[]]>([
    [{}, [4]],
    [{ ipv6: true }, [4, 6]],
    [{ ipv4: false, ipv6: true }, [6]],
    [{ ipv4: true, ipv6: false, subnets: ['10.0.1.0/24'] }, [4]],
    [{ ipv6: true, subnets: ['10.0.1.0/24'], gateways: ['10.0.1.9'] }, [4, 6]],
    [{ ipv6: true, subnets: ['fd00:1::/64', '10.0.1.0/24'], gateways: ['fd00:1::9', '10.0.1.9'] }, [4, 6]],
  ])('%j is of the families %j', (overrides, families) => {
    expect(draftNetwork(request(overrides)).families).toEqual(families);
  });

  it.each<[string, Partial<NetworkRequest>, string]>([
    ['neither family', { ipv4: false }, 'a network has IPv4 or IPv6 or both: add --ipv6, or leave --ipv4=false out'],
    ['a subnet of IPv6 alone', { subnets: ['fd00:1::/64'] }, 'subnet: fd00:1::/64 is one of IPv6, .* add --ipv6'],
    ['a subnet of IPv4 alone', { ipv4: false, ipv6: true, subnets: ['10.0.1.0/24'] }, 'leave --ipv4=false out'],
    ['a gateway of an automatic subnet', { ipv6: true, subnets: ['10.0.1.0/24'], gateways: ['fd00::1'] }, 'fd00::1'],
    ['a range of an automatic subnet', { ipv6: true, subnets: ['fd00::/64'], ipRanges: ['10.0.0.0/28'] }, '--ip-range'],
    [
      'an address of an automatic subnet',
      { ipv6: true, subnets: ['fd00::/64'], auxAddresses: { r: '10.0.0.2' } },
      '--aux-address needs a --subnet that it lies in: 10.0.0.2',
    ],
  ])('with %s is refused', (_, overrides, message) => {
    expect(() => draftNetwork(request(overrides))).toThrow(
      expect.objectContaining({ code: 'invalid-argument', message: expect.stringMatching(message) }),
    );
  });

  it.each<[string, Partial<NetworkRequest>, string]>([
    ['no name', { name: '' }, 'network name "" is not valid'],
    ['a slash in the name', { name: 'a/b' }, 'network name "a/b" is not valid'],
    ['a line break in the name', { name: 'a\nb' }, 'network name "a\\nb" is not valid'],
    ['a shell metacharacter', { name: 'web;reboot' }, 'is not valid'],
    ['a letter outside ASCII', { name: 'wéb' }, 'is not valid'],
    ['300 characters', { name: 'a'.repeat(300) }, `network name "${'a'.repeat(40)}…" is not valid`],
    ['a predefined name', { name: 'host' }, 'network name "host" is predefined'],
    ['an unknown option', { options: { mtv: '1400' } }, 'unknown option "mtv"; did you mean "mtu"?'],
    ['an option far from any', { options: { frobnicate: '1' } }, 'unknown option "frobnicate". Known options: mtu,'],
    ['an MTU that is no number', { options: { mtu: 'big' } }, 'option mtu: "big" is not a whole number from 576 to'],
    ['an MTU that is too small', { options: { mtu: '100' } }, 'option mtu: "100" is not a whole number'],
    [
      'VNI 0',
      { options: { 'com.docker.network.driver.overlay.vxlanid_list': '0' } },
      'is not a whole number from 1 to 16777215',
    ],
    ['two MTUs', { options: { mtu: '1400', 'com.docker.network.driver.mtu': '1450' } }, 'say the same thing twice'],
    ['a gateway without subnet', { gateways: ['10.0.1.1'] }, '--gateway needs a --subnet'],
    ['a range without subnet', { ipRanges: ['10.0.1.0/28'] }, '--ip-range needs a --subnet'],
    ['reserved addresses without subnet', { auxAddresses: { r: '10.0.1.2' } }, '--aux-address needs a --subnet'],
  ])('with %s is refused', (_, overrides, message) => {
    expect(() => draftNetwork(request(overrides))).toThrow(message);
  });
});

describe('a subnet', () => {
  it('has its first usable address as gateway', () => {
    expect(subnet({})).toEqual({ cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} });
    expect(specifySubnets([requireCidr('10.0.1.4/31', 'subnet')], request())[0]?.gateway).toBe('10.0.1.4');
  });

  it('takes gateway, range and reserved addresses as asked', () => {
    expect(
      subnet({ gateways: ['10.0.1.254'], ipRanges: ['10.0.1.64/26'], auxAddresses: { router: '10.0.1.2' } }),
    ).toEqual({
      cidr: '10.0.1.0/24',
      gateway: '10.0.1.254',
      ipRange: '10.0.1.64/26',
      auxAddresses: { router: '10.0.1.2' },
    });
  });

  it.each<[string, Partial<NetworkRequest>, string]>([
    [
      'a gateway outside',
      { gateways: ['10.0.2.1'] },
      'gateway: 10.0.2.1 is not in the subnet 10.0.1.0/24; leave --gateway out to get 10.0.1.1',
    ],
    ['a malformed gateway', { gateways: ['10.0.1'] }, 'gateway: "10.0.1" is not an IPv4 address'],
    ['the broadcast address as gateway', { gateways: ['10.0.1.255'] }, 'is the network or broadcast address'],
    ['two gateways', { gateways: ['10.0.1.1', '10.0.1.2'] }, 'one --gateway per --subnet'],
    ['a range outside', { ipRanges: ['10.0.2.0/28'] }, 'ip-range: 10.0.2.0/28 is out of range'],
    ['a range with host bits', { ipRanges: ['10.0.1.5/28'] }, 'did you mean 10.0.1.0/28?'],
    ['a reserved address outside', { auxAddresses: { r: '10.0.2.2' } }, 'aux-address r: 10.0.2.2 is out of range'],
    [
      'a reserved address that is the gateway',
      { auxAddresses: { r: '10.0.1.1' } },
      'aux-address r: address already in use: 10.0.1.1 is the gateway',
    ],
  ])('with %s is refused', (_, overrides, message) => {
    expect(() => subnet(overrides)).toThrow(message);
  });
});

describe('several subnets', () => {
  const blocks = ['10.0.1.0/24', '10.0.2.0/24'].map((text) => requireCidr(text, 'subnet'));
  const specify = (overrides: Partial<NetworkRequest>) => specifySubnets(blocks, request(overrides));

  it('each have an address that is reserved by one name, and not two', () => {
    const reserved = specify({ auxAddresses: { nas: ['10.0.2.9', '10.0.1.9'] } });
    expect(reserved.map(({ auxAddresses }) => auxAddresses)).toEqual([{ nas: '10.0.1.9' }, { nas: '10.0.2.9' }]);
    expect(() => specify({ auxAddresses: { nas: ['10.0.2.9', '10.0.2.10'] } })).toThrow(
      'one --aux-address nas per --subnet is possible, and 10.0.2.10 is the second one in 10.0.2.0/24',
    );
  });

  it('each get what lies in them, in whatever order', () => {
    expect(
      specify({
        gateways: ['10.0.2.254'],
        ipRanges: ['10.0.2.0/28', '10.0.1.64/26'],
        auxAddresses: { switch: '10.0.2.9', router: '10.0.1.2', printer: '10.0.2.10' },
      }),
    ).toEqual([
      { cidr: '10.0.1.0/24', gateway: '10.0.1.1', ipRange: '10.0.1.64/26', auxAddresses: { router: '10.0.1.2' } },
      {
        cidr: '10.0.2.0/24',
        gateway: '10.0.2.254',
        ipRange: '10.0.2.0/28',
        auxAddresses: { switch: '10.0.2.9', printer: '10.0.2.10' },
      },
    ]);
  });

  it.each<[string, Partial<NetworkRequest>, string]>([
    ['a gateway in none', { gateways: ['10.0.3.1'] }, 'not in any of the subnets 10.0.1.0/24, 10.0.2.0/24; leave'],
    ['two gateways in one', { gateways: ['10.0.2.1', '10.0.2.2'] }, '10.0.2.2 is the second one in 10.0.2.0/24'],
    ['a range in none', { ipRanges: ['10.0.0.0/22'] }, 'out of range: the subnets are 10.0.1.0/24, 10.0.2.0/24'],
    ['two ranges in one', { ipRanges: ['10.0.1.0/28', '10.0.1.16/28'] }, 'one --ip-range per --subnet'],
    ['a reserved address in none', { auxAddresses: { r: '10.0.3.2' } }, 'the subnets are 10.0.1.0/24, 10.0.2.0/24'],
    ['a reserved address that is the second gateway', { auxAddresses: { r: '10.0.2.1' } }, '10.0.2.1 is the gateway'],
  ])('with %s are refused', (_, overrides, message) => {
    expect(() => specify(overrides)).toThrow(message);
  });
});

describe('a subnet of IPv6', () => {
  const specify = (cidr: string, overrides: Partial<NetworkRequest> = {}) =>
    specifySubnets([requireCidr(cidr, 'subnet')], request(overrides))[0];

  it('has the address behind its routers’ as gateway, and no broadcast address', () => {
    expect(specify('fd00:1::/64')).toEqual({ cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} });
    expect(specify('fd00:1::4/127')?.gateway).toBe('fd00:1::4');
    expect(specify('fd00:1::/120', { gateways: ['fd00:1::ff'] })?.gateway).toBe('fd00:1::ff');
    expect(() => specify('fd00:1::/64', { gateways: ['fd00:1::'] })).toThrow("every router's address in fd00:1::/64");
  });

  it('writes what it is given in its one form', () => {
    const overrides = {
      gateways: ['FD00:1:0::9'],
      ipRanges: ['fd00:1:0::100/120'],
      auxAddresses: { a: 'fd00:1:0:0::A' },
    };
    expect(specify('FD00:1:0::/64', overrides)).toEqual({
      cidr: 'fd00:1::/64',
      gateway: 'fd00:1::9',
      ipRange: 'fd00:1::100/120',
      auxAddresses: { a: 'fd00:1::a' },
    });
  });

  it('and one of IPv4 each get what lies in them', () => {
    const blocks = ['10.0.1.0/24', 'fd00:1::/64'].map((text) => requireCidr(text, 'subnet'));
    const specifyBoth = (overrides: Partial<NetworkRequest>) => specifySubnets(blocks, request(overrides));
    const overrides = { gateways: ['fd00:1::9', '10.0.1.9'], auxAddresses: { four: '10.0.1.2', six: 'fd00:1::2' } };
    expect(specifyBoth(overrides)).toEqual([
      { cidr: '10.0.1.0/24', gateway: '10.0.1.9', auxAddresses: { four: '10.0.1.2' } },
      { cidr: 'fd00:1::/64', gateway: 'fd00:1::9', auxAddresses: { six: 'fd00:1::2' } },
    ]);
    expect(() => specifyBoth({ gateways: ['fd00:2::1'] })).toThrow('leave --gateway out to get 10.0.1.1, fd00:1::1');
    expect(() => specifyBoth({ gateways: ['here'] })).toThrow('"here" is not an IP address');
    expect(() => specifyBoth({ ipRanges: ['fd00:2::/96'] })).toThrow('the subnets are 10.0.1.0/24, fd00:1::/64');
  });

  it('takes any address of it for the gateway but the first, and none beside it', () => {
    const [block, beside] = [requireCidr('fd00:1::/64', 'subnet'), requireCidr('fd00:1:0:1::/64', 'subnet')];
    const text = (offset: bigint, of = block) => formatIp(ipAt(of, offset)!);
    fc.assert(
      fc.property(fc.bigInt(1n, sizeOf(block) - 1n), (offset) => {
        const gateway = text(offset);
        expect(specify(formatCidr(block), { gateways: [gateway] })).toMatchObject({ gateway });
        expect(contains(block, ipAt(beside, offset)!)).toBe(false);
        expect(() => specify(formatCidr(block), { gateways: [text(offset, beside)] })).toThrow('is not in the subnet');
      }),
    );
  });
});
