import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, formatAddress, parseAddress, requireCidr } from '../../../../src/core/ip.ts';
import { type AddressSpace, checkAddress, chooseAddress, countAddresses } from '../../../../src/core/ipam/address.ts';

const at = (createdAt: number) => ({ createdAt, name: 'api', nodeId: 'n1' });
const host = () => 'h1';

function space(overrides: Partial<AddressSpace> = {}): AddressSpace {
  return {
    subnet: { cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} },
    endpoints: new Map(),
    quarantine: new Map(),
    pending: new Set(),
    ...overrides,
  };
}

const slash29 = { cidr: '10.0.1.0/29', gateway: '10.0.1.1', auxAddresses: {} };

describe('automatic choice', () => {
  it('begins behind the gateway and goes on behind the address given last', () => {
    expect(chooseAddress(space(), 'web').address).toBe('10.0.1.2');
    const endpoints = new Map([
      ['10.0.1.2', at(1)],
      ['10.0.1.7', at(2)],
    ]);
    expect(chooseAddress(space({ endpoints }), 'web').address).toBe('10.0.1.8');
  });

  it('does not use a released address again at once, and wraps around at the end', () => {
    const endpoints = new Map([['10.0.1.254', at(3)]]);
    expect(chooseAddress(space({ endpoints }), 'web').address).toBe('10.0.1.2');
    const quarantine = new Map([['10.0.1.2', { releasedAt: 9, by: 'n1', clean: true }]]);
    expect(chooseAddress(space({ endpoints, quarantine }), 'web').address).toBe('10.0.1.3');
  });

  it('leaves out reserved, pending and quarantined addresses and stays in --ip-range', () => {
    const subnet = {
      cidr: '10.0.1.0/24',
      gateway: '10.0.1.1',
      ipRange: '10.0.1.8/30',
      auxAddresses: { router: '10.0.1.8' },
    };
    expect(chooseAddress(space({ subnet, pending: new Set(['10.0.1.9']) }), 'web').address).toBe('10.0.1.10');
  });

  it('gives every address exactly once, and then says used, free and quarantined', () => {
    fc.assert(
      fc.property(fc.integer({ min: 24, max: 31 }), (prefix) => {
        const cidr = `10.9.8.0/${prefix}`;
        const gateway = prefix === 31 ? '10.9.8.0' : '10.9.8.1';
        const endpoints = new Map<string, ReturnType<typeof at>>();
        const made = space({ subnet: { cidr, gateway, auxAddresses: {} }, endpoints });
        const expected = prefix === 31 ? 1 : 2 ** (32 - prefix) - 3;
        for (let i = 0; i < expected; i++) {
          const { address } = chooseAddress(made, 'web');
          expect(endpoints.has(address)).toBe(false);
          expect(contains(requireCidr(cidr, 'subnet'), parseAddress(address)!)).toBe(true);
          endpoints.set(address, at(i));
        }
        expect(() => chooseAddress(made, 'web')).toThrow(`${expected} used, 0 free, 0 quarantined`);
      }),
    );
  });

  it('leaves as many free addresses to others as told, and finds the last one however many that are', () => {
    expect(chooseAddress(space(), 'web', 3).address).toBe('10.0.1.5');
    const endpoints = new Map([2, 4, 5, 6].map((i) => [`10.0.1.${i}`, at(i)]));
    for (const skip of [0, 1, 2, 255]) {
      expect(chooseAddress(space({ subnet: slash29, endpoints }), 'web', skip).address).toBe('10.0.1.3');
    }
    const some = new Map([2, 6].map((i) => [`10.0.1.${i}`, at(i)]));
    const chosen = [0, 1, 2, 3, 4].map((skip) => {
      return chooseAddress(space({ subnet: slash29, endpoints: some }), 'web', skip).address;
    });
    expect(chosen).toEqual(['10.0.1.3', '10.0.1.4', '10.0.1.5', '10.0.1.3', '10.0.1.4']);
  });

  it('takes the cleanly released address that rested longest when nothing else is free', () => {
    const endpoints = new Map([2, 3, 4].map((i) => [`10.0.1.${i}`, at(i)]));
    const quarantine = new Map([
      ['10.0.1.5', { releasedAt: 20, by: 'n1', clean: true }],
      ['10.0.1.6', { releasedAt: 10, by: 'n1', clean: true }],
    ]);
    expect(chooseAddress(space({ subnet: slash29, endpoints, quarantine }), 'web')).toEqual({
      address: '10.0.1.6',
      fromQuarantine: true,
    });
  });

  it('never takes an address of a removed host before its time', () => {
    const endpoints = new Map([2, 3, 4, 5].map((i) => [`10.0.1.${i}`, at(i)]));
    const quarantine = new Map([['10.0.1.6', { releasedAt: 10, by: 'n1', clean: false }]]);
    expect(() => chooseAddress(space({ subnet: slash29, endpoints, quarantine }), 'web')).toThrow(
      '4 used, 0 free, 1 quarantined',
    );
  });
});

describe('static addresses', () => {
  it.each([
    ['10.0.1', 'ip: "10.0.1" is not an IPv4 address'],
    ['10.0.2.5', 'requested address 10.0.2.5 is out of range'],
    ['10.0.1.0', 'address already in use: 10.0.1.0 is the network address'],
    ['10.0.1.255', 'address already in use: 10.0.1.255 is the broadcast address'],
    ['10.0.1.1', 'address already in use: 10.0.1.1 is the gateway'],
    ['10.0.1.9', 'address already in use: 10.0.1.9 is reserved for router'],
    ['10.0.1.7', 'address already in use: 10.0.1.7 belongs to api on h1'],
    ['10.0.1.8', 'address already in use: 10.0.1.8 belonged to a removed host'],
  ])('refuses %s', (address, message) => {
    const made = space({
      subnet: { cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: { router: '10.0.1.9' } },
      endpoints: new Map([['10.0.1.7', at(1)]]),
      quarantine: new Map([['10.0.1.8', { releasedAt: 1, by: 'n2', clean: false }]]),
    });
    expect(() => checkAddress(made, address, host)).toThrow(message);
  });

  it('may lie outside --ip-range, and may be one that has just been released', () => {
    const subnet = { cidr: '10.0.1.0/24', gateway: '10.0.1.1', ipRange: '10.0.1.8/30', auxAddresses: {} };
    const quarantine = new Map([['10.0.1.77', { releasedAt: 1, by: 'n1', clean: true }]]);
    expect(checkAddress(space({ subnet, quarantine }), '10.0.1.77', host)).toEqual({
      address: '10.0.1.77',
      fromQuarantine: true,
    });
  });
});

describe('counts', () => {
  it('add up to the size of the subnet', () => {
    const made = space({
      endpoints: new Map([['10.0.1.7', at(1)]]),
      quarantine: new Map([['10.0.1.8', { releasedAt: 1, by: 'n2', clean: true }]]),
    });
    expect(countAddresses(made)).toEqual({ total: 256, used: 1, reserved: 3, quarantined: 1, free: 251 });
  });

  it('formats addresses above 127 without a sign', () => {
    expect(formatAddress(parseAddress('203.0.113.255')!)).toBe('203.0.113.255');
  });
});
