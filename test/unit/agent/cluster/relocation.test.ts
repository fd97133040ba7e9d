import { describe, expect, it } from 'vitest';
import type { Identity } from '../../../../src/agent/cluster/identity.ts';
import { type HostLinks, movedStore, relocate } from '../../../../src/agent/cluster/relocation.ts';
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
