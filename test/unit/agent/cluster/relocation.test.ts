import { describe, expect, it } from 'vitest';
import type { Identity } from '../../../../src/agent/cluster/identity.ts';
import { type HostLinks, movedStore, relocate } from '../../../../src/agent/cluster/relocation.ts';
import type { Unfit } from '../../../../src/core/host-facts.ts';
import type { NodeRecord } from '../../../../src/core/records.ts';

const identity = (parts: Partial<Identity> = {}) =>
  ({
    ...{ name: 'h3', advertiseAddress: '10.77.0.3', vtep: '10.77.0.3', listenAddress: '0.0.0.0' },
    addressLinks: { '10.77.0.3': 'eth0' },
    store: { endpoints: ['https://10.77.0.1:2379'], caCertificate: '', certificate: '', key: '', bundled: false },
    ...parts,
  }) as Identity;

/** `eth0 10.77.0.3/24`: links with or without an address. */
function host(...lines: readonly string[]): HostLinks {
  const parsed = lines.map((line) => line.split(/[ /]/));
  return {
    links: ['lo', ...new Set(parsed.map(([link]) => link!))],
    addresses: parsed.flatMap(([link, address, prefix]) =>
      address === undefined ? [] : [{ link: link!, address, prefix: Number(prefix) }],
    ),
  };
}

const movesOf = (parts: Partial<Identity>, ...lines: readonly string[]) =>
  relocate(identity(parts), host(...lines)).moves;
const problemOf = (parts: Partial<Identity>, ...lines: readonly string[]) =>
  relocate(identity(parts), host(...lines)).problems.join();

describe('an address that changed', () => {
  it.each([
    ['by DHCP, in the same subnet', ['eth0 10.77.0.33/24']],
    ['to another subnet', ['eth0 192.168.1.9/24', 'docker0 172.17.0.1/16']],
    ['beside other links', ['eth0 10.77.0.33/24', 'eth1 10.77.0.44/24']],
    ['beside an address that moves between hosts', ['eth0 10.77.0.33/24', 'eth0 10.77.0.100/32']],
    ['beside one of another subnet', ['eth0 10.77.0.33/24', 'eth0 192.168.0.9/24']],
    ['with its link renamed', ['lan0 10.77.0.33/24', 'eth1 192.168.0.9/24']],
  ])('is followed: %s', (_, lines) => {
    const { moves, problems, identity: next } = relocate(identity(), host(...lines));
    const to = lines[0]!.split(/[ /]/)[1]!;
    expect({ moves, problems }).toEqual({ moves: [{ from: '10.77.0.3', to }], problems: [] });
    expect(next).toMatchObject({ advertiseAddress: to, vtep: to, listenAddress: '0.0.0.0' });
    expect(next.addressLinks).toEqual({ [to]: lines[0]!.split(' ')[0] });
  });

  it('is none while the host still has the old one, on whatever link', () => {
    expect(movesOf({}, 'eth0 10.77.0.33/24', 'eth0 10.77.0.3/24')).toEqual([]);
    const renamed = relocate(identity(), host('lan0 10.77.0.3/24'));
    expect(renamed).toMatchObject({ moves: [], problems: [], identity: { addressLinks: { '10.77.0.3': 'lan0' } } });
  });

  it('is followed for data path and listener apart from each other', () => {
    const split = { vtep: '10.88.0.3', listenAddress: '10.77.0.3' };
    const links = { '10.77.0.3': 'eth0', '10.88.0.3': 'eth1' };
    const found = relocate(
      identity({ ...split, addressLinks: links }),
      host('eth0 10.77.0.33/24', 'eth1 10.88.0.33/24'),
    );
    expect(found.identity).toMatchObject({
      ...{ advertiseAddress: '10.77.0.33', vtep: '10.88.0.33', listenAddress: '10.77.0.33' },
      addressLinks: { '10.77.0.33': 'eth0', '10.88.0.33': 'eth1' },
    });
    expect(problemOf({ ...split, addressLinks: links }, 'eth0 10.77.0.3/24', 'eth1')).toMatch(
      /lost the address 10\.88\.0\.3 that containers' traffic goes through: eth1 has no IPv4 address now; give it one, or/,
    );
  });

  it('takes the bundled etcd of its own host along', () => {
    const store = { ...identity().store, endpoints: ['https://10.77.0.3:2379'], bundled: true };
    expect(relocate(identity({ store }), host('eth0 10.77.0.33/24')).identity.store.endpoints).toEqual([
      'https://10.77.0.33:2379',
    ]);
  });
});

describe('an address that is lost', () => {
  it.each([
    ['the link has none', ['eth0', 'eth1 10.77.0.44/24'], /eth0 has no IPv4 address now; give it one/],
    [
      'the link has two that would do',
      ['eth0 10.77.0.33/24', 'eth0 10.77.0.34/24'],
      /eth0 has 10\.77\.0\.33, 10\.77\.0\.34 now, and which of them members shall use is not certain/,
    ],
    ['its VPN ended', ['eth1 203.0.113.9/24'], /its link eth0 is gone.*bring the link back/],
  ])('is told with what to do: %s', (_, lines, words) => {
    expect(movesOf({}, ...lines)).toEqual([]);
    const problem = problemOf({}, ...lines);
    expect(problem).toMatch(
      /^this host has lost the address 10\.77\.0\.3 that members reach it by and containers' traffic/,
    );
    expect(problem).toMatch(words);
    expect(problem).toContain('or give the host 10.77.0.3 again');
  });

  it("is never a reason to leave for the host of the cluster's etcd", () => {
    expect(problemOf({}, 'eth0')).toContain('overlayd leave');
    const store = { ...identity().store, bundled: true };
    expect(problemOf({ store }, 'eth0')).toMatch(/or give the host 10\.77\.0\.3 again$/);
  });

  it('is remembered with its link until it is back', () => {
    const { identity: next } = relocate(identity(), host('eth0'));
    expect(next.addressLinks).toEqual({ '10.77.0.3': 'eth0' });
  });

  it('of a node that joined before links were remembered is followed in its subnet only', () => {
    const { addressLinks: _, ...old } = identity();
    expect(relocate(old, host('eth7 10.77.0.33/24')).moves).toHaveLength(1);
    expect(relocate(old, host('eth7 10.78.0.33/24')).moves).toEqual([]);
  });
});

describe('addresses of IPv6', () => {
  const six: Partial<Identity> = {
    ...{ advertiseAddress: '2001:db8::3', vtep: '2001:db8::3', listenAddress: '::' },
    addressLinks: { '2001:db8::3': 'eth0' },
  };
  const unfit = (links: HostLinks, address: string, why: Unfit): HostLinks => ({
    ...links,
    addresses: links.addresses.map((each) => (each.address === address ? { ...each, unfit: why } : each)),
  });

  it.each([
    ['in the same subnet', ['eth0 2001:db8::33/64']],
    ['to another prefix', ['eth0 2001:db8:1::33/64', 'docker0 fd00:17::1/64']],
    [
      'beside one that moves between hosts, and one of IPv4',
      ['eth0 2001:db8::33/64', 'eth0 2001:db8::100/128', 'eth0 10.77.0.3/24'],
    ],
  ])('are followed: %s', (_, lines) => {
    const to = lines[0]!.split(/[ /]/)[1]!;
    expect(relocate(identity(six), host(...lines))).toMatchObject({
      ...{ moves: [{ from: '2001:db8::3', to }], problems: [] },
      identity: { advertiseAddress: to, vtep: to, listenAddress: '::', addressLinks: { [to]: 'eth0' } },
    });
  });

  it('take the bundled etcd along, here and on other members', () => {
    const store = { ...identity().store, endpoints: ['https://[2001:db8::3]:2379'], bundled: true };
    const moved = relocate(identity({ ...six, store }), host('eth0 2001:db8::33/64')).identity;
    expect(moved.store.endpoints).toEqual(['https://[2001:db8::33]:2379']);
    const other = identity({ ...six, store: { ...store, bundled: false } });
    const holder = { left: false, holdsStore: true, advertiseAddress: '2001:db8::33' } as NodeRecord;
    expect(movedStore(other, [holder])).toEqual(['https://[2001:db8::33]:2379']);
    expect(movedStore(other, [{ ...holder, advertiseAddress: '2001:db8::3' }])).toBeUndefined();
  });

  it('are not followed to one that is temporary, nor left for one while they are there', () => {
    const both = host('eth0 2001:db8::9c3f/64', 'eth0 2001:db8::33/64');
    expect(relocate(identity(six), unfit(both, '2001:db8::9c3f', 'temporary')).moves).toMatchObject([
      { to: '2001:db8::33' },
    ]);
    const there = host('eth0 2001:db8::3/64', 'eth0 2001:db8::33/64');
    for (const why of ['deprecated', 'tentative'] as const)
      expect(relocate(identity(six), unfit(there, '2001:db8::3', why)).moves).toEqual([]);
  });

  it('are lost where another host has them', () => {
    const alone = unfit(host('eth0 2001:db8::3/64'), '2001:db8::3', 'duplicate');
    expect(relocate(identity(six), alone).problems.join()).toMatch(
      /lost the address 2001:db8::3 .*another host of eth0 has 2001:db8::3 \(duplicate address detection\)/,
    );
  });

  it.each([
    [
      six,
      'eth0 10.77.0.3/24',
      /eth0 has no IPv6 address now, but 10\.77\.0\.3; members .* one family: give it one of IPv6/,
    ],
    [
      {},
      'eth0 2001:db8::3/64',
      /eth0 has no IPv4 address now, but 2001:db8::3; members .* one family: give it one of IPv4/,
    ],
  ])('and of IPv4 are not followed to the other family', (parts, line, words) => {
    expect(movesOf(parts, line)).toEqual([]);
    expect(problemOf(parts, line)).toMatch(words);
  });
});

describe('the bundled etcd of another member', () => {
  const node = (parts: Partial<NodeRecord>) => ({ left: false, ...parts }) as NodeRecord;
  const holder = node({ advertiseAddress: '10.77.0.11', holdsStore: true });

  it('is followed to the address in that member’s record', () => {
    expect(movedStore(identity(), [node({ advertiseAddress: '10.77.0.2' }), holder])).toEqual([
      'https://10.77.0.11:2379',
    ]);
    expect(movedStore(identity(), [{ ...holder, advertiseAddress: '10.77.0.1' }])).toBeUndefined();
  });

  it('is not, when nobody or several say that they have it, or the store is the user’s own', () => {
    expect(movedStore(identity(), [node({ advertiseAddress: '10.77.0.11' })])).toBeUndefined();
    expect(movedStore(identity(), [holder, holder])).toBeUndefined();
    const own = { ...identity().store, certificate: 'of the user' };
    expect(movedStore(identity({ store: own }), [holder])).toBeUndefined();
    const plain = { ...identity().store, endpoints: ['http://10.9.9.9:2379'] };
    expect(movedStore(identity({ store: plain }), [holder])).toBeUndefined();
  });
});
