import { expect, it } from 'vitest';
import { formatCidr } from '../../../../src/core/cidr.ts';
import { coveredNeeds, type HostNeeds, hostHolders } from '../../../../src/core/ipam/host-holders.ts';

import { networkRecord } from '../../../fixtures/records.ts';

const host = (parts: Partial<HostNeeds>): HostNeeds => ({
  ...{ name: 'h1', left: false, advertiseAddress: '10.0.1.1', vtep: '10.0.2.1', hostRoutes: [] },
  ...parts,
});
const shown = (nodes: readonly HostNeeds[]) =>
  hostHolders(nodes).map(({ block, who, kind }) => `${kind} ${formatCidr(block)} ${who}`);

it('takes the addresses and routes of members, in words', () => {
  const node = host({
    neededAddresses: [
      { address: '10.0.0.2', what: 'name server' },
      { address: '10.0.9.9', what: 'etcd server' },
      { address: '10.0.5.2', what: 'address' },
    ],
    hostRoutes: ['10.0.1.0/24', '172.16.0.0/12'],
    linkRoutes: ['10.0.1.0/24'],
  });
  expect(shown([node])).toEqual([
    'address 10.0.1.1/32 the advertise address of host h1',
    'address 10.0.2.1/32 the data path address of host h1',
    'address 10.0.0.2/32 a name server of host h1',
    'address 10.0.9.9/32 an etcd server of host h1',
    'address 10.0.5.2/32 an address of host h1',
    'link 10.0.1.0/24 a route of host h1',
    'route 172.16.0.0/12 a route of host h1',
  ]);
});

it('reads records of older agents, which say nothing of links and needs', () => {
  expect(shown([host({ hostRoutes: ['10.0.1.0/24'] })])).toContain('route 10.0.1.0/24 a route of host h1');
});

it('leaves out default routes, also halved ones, what does not parse, and members that left', () => {
  const nodes = [
    host({
      hostRoutes: ['0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1', '::/0', '::/1', '8000::/1', '2000::/3', 'nonsense'],
      neededAddresses: [{ address: 'x', what: 'y' }],
    }),
    host({ name: 'h2', left: true, hostRoutes: ['10.5.0.0/16'] }),
  ];
  expect(shown(nodes)).toHaveLength(2);
});

it('says which needs of a host a network has taken', () => {
  const node = host({ vtep: '10.0.1.1', neededAddresses: [{ address: '10.0.5.2', what: 'name server' }] });
  const at = (cidr: string, gateway: string, internal = false) =>
    coveredNeeds(node, [networkRecord({ subnets: [{ cidr, gateway, auxAddresses: {} }], internal })]).join();
  expect(at('10.0.5.0/24', '10.0.5.1')).toMatch(
    /^network web \(10\.0\.5\.0\/24\) covers 10\.0\.5\.2, a name server of host h1: a host cannot reach that while/,
  );
  expect(at('10.0.0.0/23', '10.0.0.1')).toContain('covers 10.0.1.1, the advertise address of host h1');
  expect(at('10.0.5.0/24', '10.0.5.2')).toBe('');
  expect(at('10.0.5.0/24', '10.0.5.1', true)).toBe('');
  expect(at('10.0.6.0/24', '10.0.6.1')).toBe('');
});
