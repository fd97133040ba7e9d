import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, firstOf, formatCidr, ipAt, lastOf, requireCidr, sizeOf } from '../../../../src/core/cidr.ts';
import { formatIp, parseIp } from '../../../../src/core/ip.ts';
import { type AddressSpace, checkAddress, chooseAddress, countAddresses } from '../../../../src/core/ipam/address.ts';

const at = (createdAt: number) => ({ createdAt, name: 'api', nodeId: 'n1' });
const host = () => 'h1';

function space(overrides: Partial<AddressSpace> = {}): AddressSpace {
  return {
    subnets: [{ cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} }],
    claims: new Map(),
    endpoints: new Map(),
    quarantine: new Map(),
    pending: new Set(),
    now: 0,
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

  it('goes on behind the last one of --ip-range, whatever was given beside it since', () => {
    const subnet = { cidr: '10.0.1.0/24', gateway: '10.0.1.1', ipRange: '10.0.1.128/25', auxAddresses: {} };
    const endpoints = new Map([
      ['10.0.1.140', at(1)],
      ['10.0.1.130', at(2)],
      ['10.0.1.150', at(2)],
      ['10.0.1.9', at(3)],
    ]);
    expect(chooseAddress(space({ subnets: [subnet], endpoints }), 'web').address).toBe('10.0.1.151');
    const quarantine = new Map([['10.0.1.8', { releasedAt: 4, by: 'n1', clean: true }]]);
    expect(chooseAddress(space({ subnets: [subnet], endpoints, quarantine }), 'web').address).toBe('10.0.1.151');
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
    expect(chooseAddress(space({ subnets: [subnet], pending: new Set(['10.0.1.9']) }), 'web').address).toBe(
      '10.0.1.10',
    );
  });

  it('gives every address exactly once, and then says used, free and quarantined', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('10.9.8.0/32', 'fd00:9:8::/128'),
        fc.integer({ min: 1, max: 8 }),
        (base, hostBits) => {
          const prefix = requireCidr(base, 'base').prefix - hostBits;
          const cidr = formatCidr({ ip: requireCidr(base, 'base').ip, prefix });
          const isIpv4 = !base.includes(':');
          const gateway = formatIp(ipAt(requireCidr(cidr, 'subnet'), hostBits === 1 ? 0n : 1n)!);
          const endpoints = new Map<string, ReturnType<typeof at>>();
          const made = space({ subnets: [{ cidr, gateway, auxAddresses: {} }], endpoints });
          const expected = hostBits === 1 ? 1 : 2 ** hostBits - (isIpv4 ? 3 : 2);
          for (let i = 0; i < expected; i++) {
            const { address } = chooseAddress(made, 'web');
            expect(endpoints.has(address)).toBe(false);
            expect(contains(requireCidr(cidr, 'subnet'), parseIp(address)!)).toBe(true);
            endpoints.set(address, at(i));
          }
          expect(() => chooseAddress(made, 'web')).toThrow(`${expected} used, 0 free, 0 quarantined`);
        },
      ),
    );
  });

  it('goes on behind the address given last, whatever is taken, in a block of any size of either family', () => {
    const cases = fc.record({
      cidr: fc.constantFrom('10.0.0.0/8', '10.0.1.0/27', 'fd00:0:0:1::/64', 'fd00:0:0:1::/123', 'fd00::/8'),
      /** Offsets, from the beginning and from the end. */
      taken: fc.uniqueArray(fc.bigInt({ min: -12n, max: 12n }), { maxLength: 20 }),
      kinds: fc.array(fc.constantFrom('endpoint', 'pending', 'quarantined'), { minLength: 20, maxLength: 20 }),
      lastAt: fc.nat(19),
    });
    fc.assert(
      fc.property(cases, ({ cidr, taken, kinds, lastAt }) => {
        const block = requireCidr(cidr, 'subnet');
        const size = sizeOf(block);
        const at_ = (offset: bigint) => formatIp(ipAt(block, ((offset % size) + size) % size)!);
        const endpoints = new Map<string, ReturnType<typeof at>>();
        const quarantine = new Map<string, { releasedAt: number; by: string; clean: boolean }>();
        const pending = new Set<string>();
        for (const [i, offset] of taken.entries()) {
          if (kinds[i] === 'endpoint') endpoints.set(at_(offset), at(i === lastAt ? 100 : i + 10));
          else if (kinds[i] === 'pending') pending.add(at_(offset));
          else quarantine.set(at_(offset), { releasedAt: 5, by: 'n1', clean: true });
        }
        const given = [...endpoints].sort(([, a], [, b]) => b.createdAt - a.createdAt)[0]?.[0];
        const subnet = { cidr, gateway: at_(1n), auxAddresses: { router: at_(3n) } };
        const isFree = (address: string) =>
          !endpoints.has(address) &&
          !pending.has(address) &&
          !quarantine.has(address) &&
          ![at_(0n), at_(1n), at_(3n), ...(cidr.includes(':') ? [] : [at_(-1n)])].includes(address);
        // One step after another from the last one, as a person would do it.
        const last = given === undefined ? undefined : parseIp(given)!.value - firstOf(block).value;
        const resting = [...quarantine.keys()].map((each) => parseIp(each)!.value - firstOf(block).value);
        let offset = last ?? resting.sort((a, b) => (a < b ? -1 : 1)).at(-1) ?? -1n;
        do offset += 1n;
        while (!isFree(at_(offset)));
        expect(chooseAddress(space({ subnets: [subnet], endpoints, quarantine, pending }), 'web')).toMatchObject({
          address: at_(offset),
          fromQuarantine: false,
        });
      }),
      { numRuns: 500 },
    );
  });

  it('costs nothing for the size of a block of IPv6, also with --ip-range', () => {
    const subnet = {
      cidr: 'fd00:0:0:1::/64',
      gateway: 'fd00:0:0:1::1',
      ipRange: 'fd00:0:0:1:8000::/65',
      auxAddresses: {},
    };
    expect(chooseAddress(space({ subnets: [subnet] }), 'web').address).toBe('fd00:0:0:1:8000::');
    const last = formatIp(lastOf(requireCidr(subnet.cidr, 'subnet')));
    expect(chooseAddress(space({ subnets: [subnet], endpoints: new Map([[last, at(1)]]) }), 'web').address).toBe(
      'fd00:0:0:1:8000::',
    );
    expect(countAddresses(space({ subnets: [subnet] }))).toEqual({
      ...{
        total: Number.MAX_SAFE_INTEGER,
        used: 0,
        reserved: 2,
        quarantined: 0,
        kept: 0,
        free: Number.MAX_SAFE_INTEGER,
      },
    });
  });

  it('costs by what is taken, not by the size of the block: of a /64 no more looks than of a /16', () => {
    const looksIn = (cidr: string, gateway: string, count: number) => {
      const block = requireCidr(cidr, 'subnet');
      let looks = 0;
      const counted = <T>(map: Map<string, T>) =>
        Object.assign(map, { has: (key: string) => ++looks > 0 && map.get(key) !== undefined });
      const endpoints = new Map(
        Array.from({ length: count }, (_, i) => [formatIp(ipAt(block, BigInt(i) + 2n)!), at(i)]),
      );
      const made = space({ subnets: [{ cidr, gateway, auxAddresses: {} }], endpoints: counted(endpoints) });
      const first = chooseAddress(made, 'web').address;
      const wrapped = chooseAddress(
        { ...made, endpoints: counted(new Map(endpoints).set(formatIp(lastOf(block)), at(count))) },
        'web',
      );
      expect([first, wrapped.address]).toEqual(Array(2).fill(formatIp(ipAt(block, BigInt(count) + 2n)!)));
      return looks;
    };
    for (const count of [1, 10, 10_000]) {
      const looks = looksIn('fd00:0:0:1::/64', 'fd00:0:0:1::1', count);
      expect(looks).toBe(looksIn('10.9.0.0/16', '10.9.0.1', count));
      expect(looks).toBeLessThanOrEqual(count + 2);
    }
  });

  it('leaves as many free addresses to others as told, and finds the last one however many that are', () => {
    expect(chooseAddress(space(), 'web', 3).address).toBe('10.0.1.5');
    const endpoints = new Map([2, 4, 5, 6].map((i) => [`10.0.1.${i}`, at(i)]));
    for (const skip of [0, 1, 2, 255]) {
      expect(chooseAddress(space({ subnets: [slash29], endpoints }), 'web', skip).address).toBe('10.0.1.3');
    }
    const some = new Map([2, 6].map((i) => [`10.0.1.${i}`, at(i)]));
    const chosen = [0, 1, 2, 3, 4].map((skip) => {
      return chooseAddress(space({ subnets: [slash29], endpoints: some }), 'web', skip).address;
    });
    expect(chosen).toEqual(['10.0.1.3', '10.0.1.4', '10.0.1.5', '10.0.1.3', '10.0.1.4']);
  });

  it('takes the cleanly released address that rested longest when nothing else is free', () => {
    const endpoints = new Map([2, 3, 4].map((i) => [`10.0.1.${i}`, at(i)]));
    const quarantine = new Map([
      ['10.0.1.5', { releasedAt: 20, by: 'n1', clean: true }],
      ['10.0.1.6', { releasedAt: 10, by: 'n1', clean: true }],
    ]);
    expect(chooseAddress(space({ subnets: [slash29], endpoints, quarantine }), 'web')).toMatchObject({
      address: '10.0.1.6',
      fromQuarantine: true,
    });
  });

  it('never takes an address of a removed host before its time', () => {
    const endpoints = new Map([2, 3, 4, 5].map((i) => [`10.0.1.${i}`, at(i)]));
    const quarantine = new Map([['10.0.1.6', { releasedAt: 10, by: 'n1', clean: false }]]);
    expect(() => chooseAddress(space({ subnets: [slash29], endpoints, quarantine }), 'web')).toThrow(
      '4 used, 0 free, 1 quarantined',
    );
  });
});

describe('static addresses', () => {
  it.each([
    ['10.0.1', 'ip: "10.0.1" is not an IPv4 address; write it like 10.0.1.5'],
    ['fd00::5', 'ip: "fd00::5" is not an IPv4 address; write it like 10.0.1.5'],
    ['10.0.2.5', 'requested address 10.0.2.5 is out of range'],
    ['10.0.1.0', 'address already in use: 10.0.1.0 is the network address'],
    ['10.0.1.255', 'address already in use: 10.0.1.255 is the broadcast address'],
    ['10.0.1.1', 'address already in use: 10.0.1.1 is the gateway'],
    ['10.0.1.9', 'address already in use: 10.0.1.9 is reserved for router'],
    ['10.0.1.7', 'address already in use: 10.0.1.7 belongs to api on h1'],
    ['10.0.1.8', 'address already in use: 10.0.1.8 belonged to a removed host'],
  ])('refuses %s', (address, message) => {
    const made = space({
      subnets: [{ cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: { router: '10.0.1.9' } }],
      endpoints: new Map([['10.0.1.7', at(1)]]),
      quarantine: new Map([['10.0.1.8', { releasedAt: 1, by: 'n2', clean: false }]]),
    });
    expect(() => checkAddress(made, address, host)).toThrow(message);
  });

  it('of IPv6 are one, however they are written', () => {
    const subnet = { cidr: 'fd00:0:0:1::/64', gateway: 'fd00:0:0:1::1', auxAddresses: {} };
    const endpoints = new Map([['fd00:0:0:1::7', at(1)]]);
    const check = (text: string) => checkAddress(space({ subnets: [subnet], endpoints }), text, host);
    expect(check('FD00:0:0:1:0:0:0:5')).toMatchObject({ address: 'fd00:0:0:1::5', fromQuarantine: false });
    expect(() => check('fd00:0:0:1:0:0:0:7')).toThrow('fd00:0:0:1::7 belongs to api on h1');
    expect(() => check('fd00:0:0:1::')).toThrow("fd00:0:0:1:: is the routers' anycast address");
    expect(() => check('10.0.1.5')).toThrow('ip6: "10.0.1.5" is not an IPv6 address; write it like fd00:0:0:1::5');
    expect(check('fd00:0:0:1:ffff:ffff:ffff:ffff').address).toBe('fd00::1:ffff:ffff:ffff:ffff');
  });

  it('may lie outside --ip-range, and may be one that has just been released', () => {
    const subnet = { cidr: '10.0.1.0/24', gateway: '10.0.1.1', ipRange: '10.0.1.8/30', auxAddresses: {} };
    const quarantine = new Map([['10.0.1.77', { releasedAt: 1, by: 'n1', clean: true }]]);
    expect(checkAddress(space({ subnets: [subnet], quarantine }), '10.0.1.77', host)).toMatchObject({
      address: '10.0.1.77',
      fromQuarantine: true,
    });
  });
});

describe('counts', () => {
  it('add up in each family of whatever is taken, and never exceed what a number counts exactly', () => {
    const cases = fc.record({
      cidr: fc.constantFrom('10.0.1.0/24', '10.0.0.0/8', 'fd00::/120', 'fd00::/76', 'fd00::/75', 'fd00::/64', '::/0'),
      claimed: fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 20 }),
      resting: fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 20 }),
    });
    fc.assert(
      fc.property(cases, ({ cidr, claimed, resting }) => {
        const block = requireCidr(cidr, 'subnet');
        const other = requireCidr(block.ip.family === 4 ? 'fd00::/64' : '10.0.1.0/24', 'subnet');
        const both = (offset: number) => [block, other].map((each) => formatIp(ipAt(each, BigInt(offset))!));
        const claims = new Map(claimed.flatMap(both).map((ip) => [ip, { endpointId: 'e', nodeId: 'n1' }]));
        const quarantine = new Map(resting.flatMap(both).map((ip) => [ip, { releasedAt: 1, by: 'n1', clean: true }]));
        const subnets = [{ cidr, gateway: both(1)[0]!, auxAddresses: {} }];
        const counts = countAddresses(space({ subnets, claims, quarantine }));
        expect(counts.used).toBe(claimed.length);
        const kept = [0, 1].filter((offset) => !claimed.includes(offset)).length + (block.ip.family === 4 ? 1 : 0);
        expect(counts.reserved).toBe(kept);
        expect(counts.quarantined).toBe(resting.filter((each) => each > 1 && !claimed.includes(each)).length);
        const exact = (count: bigint) =>
          count > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(count);
        expect(counts.total).toBe(exact(sizeOf(block)));
        const taken = BigInt(counts.used + counts.reserved + counts.quarantined);
        expect(counts.free).toBe(exact(sizeOf(block) - taken));
      }),
    );
  });

  it('add up to the size of the subnet', () => {
    const made = space({
      endpoints: new Map([['10.0.1.7', at(1)]]),
      quarantine: new Map([['10.0.1.8', { releasedAt: 1, by: 'n2', clean: true }]]),
    });
    expect(countAddresses(made)).toEqual({ total: 256, used: 1, reserved: 3, quarantined: 1, kept: 0, free: 251 });
  });

  it('counts an address once, whatever is said of it', () => {
    const quarantine = new Map(
      ['10.0.1.1', '10.0.1.5', '10.0.1.6'].map((ip) => [ip, { releasedAt: 1, by: 'n1', clean: true }]),
    );
    const claims = new Map(['10.0.1.0', '10.0.1.5'].map((ip) => [ip, { endpointId: 'e', nodeId: 'n1' }]));
    expect(countAddresses(space({ claims, quarantine }))).toEqual({
      ...{ total: 256, used: 2, reserved: 2, quarantined: 1, kept: 0, free: 251 },
    });
  });
});

describe('several subnets', () => {
  const subnets = [slash29, { cidr: '10.0.2.0/29', gateway: '10.0.2.1', auxAddresses: { router: '10.0.2.2' } }];
  const filled = (...addresses: readonly string[]) => new Map(addresses.map((address, i) => [address, at(i)]));
  const first = ['10.0.1.2', '10.0.1.3', '10.0.1.4', '10.0.1.5', '10.0.1.6'];
  const second = ['10.0.2.3', '10.0.2.4', '10.0.2.5', '10.0.2.6'];

  it('are filled one behind the other', () => {
    const next = (...taken: readonly string[]) => chooseAddress(space({ subnets, endpoints: filled(...taken) }), 'web');
    expect(next('10.0.2.3')).toEqual({ address: '10.0.1.2', subnet: '10.0.1.0/29', fromQuarantine: false });
    expect(next(...first)).toEqual({ address: '10.0.2.3', subnet: '10.0.2.0/29', fromQuarantine: false });
    expect(next(...first, '10.0.2.3').address).toBe('10.0.2.4');
    expect(next(...first.slice(1), ...second).address).toBe('10.0.1.2');
  });

  it('have what rests only when none has a free one, the longest-resting first, whichever it is in', () => {
    const quarantine = new Map([
      ['10.0.1.2', { releasedAt: 9, by: 'n1', clean: true }],
      ['10.0.2.6', { releasedAt: 5, by: 'n1', clean: true }],
    ]);
    const some = filled(...first.slice(1), ...second.slice(0, 2));
    expect(chooseAddress(space({ subnets, endpoints: some, quarantine }), 'web').address).toBe('10.0.2.5');
    const all = filled(...first.slice(1), ...second.slice(0, 3));
    expect(chooseAddress(space({ subnets, endpoints: all, quarantine }), 'web')).toEqual({
      address: '10.0.2.6',
      subnet: '10.0.2.0/29',
      fromQuarantine: true,
    });
  });

  it('leave to others what is skipped, in the next one too', () => {
    const endpoints = filled(...first.slice(0, 4));
    const skipping = (skip: number) => chooseAddress(space({ subnets, endpoints }), 'web', skip).address;
    expect([0, 1, 4, 5].map(skipping)).toEqual(['10.0.1.6', '10.0.2.3', '10.0.2.6', '10.0.1.6']);
  });

  it('are full together, and count together', () => {
    const endpoints = filled(...first, ...second);
    expect(() => chooseAddress(space({ subnets, endpoints }), 'web')).toThrow(
      'no available IPv4 addresses on network web (10.0.1.0/29, 10.0.2.0/29): 9 used, 0 free, 0 quarantined; disconnect containers, or give it another subnet (overlayd network subnet add web CIDR)',
    );
    expect(countAddresses(space({ subnets, endpoints }))).toEqual({
      ...{ total: 16, used: 9, reserved: 7, quarantined: 0, kept: 0, free: 0 },
    });
  });

  it('each have static addresses', () => {
    const check = (text: string) => checkAddress(space({ subnets }), text, host);
    expect(check('10.0.2.6')).toEqual({ address: '10.0.2.6', subnet: '10.0.2.0/29', fromQuarantine: false });
    expect(() => check('10.0.2.1')).toThrow('10.0.2.1 is the gateway; choose another one in 10.0.2.0/29');
    expect(() => check('10.0.3.1')).toThrow("out of range: the network's subnets are 10.0.1.0/29, 10.0.2.0/29");
  });
});
