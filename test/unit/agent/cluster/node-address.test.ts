import { describe, expect, test } from 'vitest';
import { chooseAddress } from '../../../../src/agent/cluster/node-address.ts';
import type { Unfit } from '../../../../src/core/host-facts.ts';
import type { Family } from '../../../../src/core/ip.ts';

const eth0 = { link: 'eth0', address: '10.0.0.1' };
const eth1 = { link: 'eth1', address: '192.168.7.1' };
const inner = ['lo', 'docker0', 'br-3f2a', 'virbr0', 'veth12ab', 'ovl-up4096', 'cni0', 'wg0'].map((link, i) => ({
  link,
  address: `172.17.${i}.1`,
}));
const choose = (
  addresses: readonly { link: string; address: string; unfit?: Unfit }[],
  requested = '',
  prefer: Family = 4,
) => chooseAddress(addresses, requested, { flag: '--advertise-addr', prefer });

test('the only way to other hosts is taken, whatever bridges there are', () => {
  expect(choose([...inner, eth0])).toBe('10.0.0.1');
});

test('with several the user chooses, and the error lists them', () => {
  expect(() => choose([eth0, eth1, ...inner])).toThrow(
    /choose with --advertise-addr .*10\.0\.0\.1 \(eth0\), 192\.168\.7\.1 \(eth1\)$/,
  );
});

test('an address or a link of the host is what it says, also an inner one', () => {
  expect(choose([eth0, eth1], '192.168.7.1')).toBe('192.168.7.1');
  expect(choose([eth0, eth1], 'eth1')).toBe('192.168.7.1');
  expect(choose([eth0, ...inner], 'wg0')).toBe('172.17.7.1');
});

test.each([
  ['10.0.0.9', /10\.0\.0\.9 is not an address of this host; it has 10\.0\.0\.1 \(eth0\)/],
  ['eth7', /"eth7" is neither an IP address nor a link with one; choose from/],
])('%s is refused with the choices', (requested, problem) => {
  expect(() => choose([eth0], requested)).toThrow(problem);
});

test('a link with several addresses, and a host with none, are refused', () => {
  expect(() => choose([eth0, { link: 'eth0', address: '10.0.0.2' }], 'eth0')).toThrow(/several addresses/);
  expect(() => choose(inner)).toThrow(/no address found .* --advertise-addr/);
});

describe('of both families', () => {
  const six = { link: 'eth0', address: '2001:db8::1' };
  const temporary = { link: 'eth0', address: '2001:db8::9c3f', unfit: 'temporary' } as const;

  test('IPv4 goes first, unless the host calls a member at an address of IPv6', () => {
    for (const requested of ['', 'eth0']) {
      expect(choose([temporary, six, eth0], requested)).toBe('10.0.0.1');
      expect(choose([temporary, six, eth0], requested, 6)).toBe('2001:db8::1');
      expect(choose([temporary, six], requested)).toBe('2001:db8::1');
      expect(choose([eth0], requested, 6)).toBe('10.0.0.1');
    }
  });

  test('an address of IPv6 may be written in any way', () => {
    expect(choose([eth0, six], '2001:DB8:0:0::1')).toBe('2001:db8::1');
  });

  test('one that does not stay, or is not in use, is not offered, and refused with why', () => {
    const of = (unfit: Unfit) => [{ link: 'eth0', address: '2001:db8::7', unfit }];
    for (const [unfit, why] of [
      ['temporary', /temporary \(RFC 8981\)/],
      ['deprecated', /about to give it up/],
      ['tentative', /try again in a few seconds/],
      ['duplicate', /another host of the link has it/],
    ] as const) {
      expect(() => choose(of(unfit))).toThrow(`no address found that other hosts could reach`);
      expect(() => choose(of(unfit))).toThrow(`2001:db8::7 (eth0, ${unfit})`);
      expect(() => choose(of(unfit), '2001:db8::7')).toThrow(why);
      expect(() => choose(of(unfit), 'eth0')).toThrow(why);
    }
  });

  test('one of a single link, one that is written as the other family, and one of a host without IPv6 are refused', () => {
    expect(() => choose([eth0, six], 'fe80::1')).toThrow(/fe80::1 is link-local, and means another host on each link/);
    expect(() => choose([eth0], '::ffff:10.0.0.1')).toThrow(/write 10\.0\.0\.1/);
    expect(() => choose([eth0, six], '2001:db8::2')).toThrow(/not an address of this host; it has .*eth0\)$/);
    expect(() => choose([eth0], '2001:db8::2')).toThrow(/it has no IPv6 address at all: .*ipv6\.disable=1/);
  });
});
