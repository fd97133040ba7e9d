import { expect, it } from 'vitest';
import { requireCidr } from '../../../../src/core/cidr.ts';
import { checkSubnet, chooseSubnet, type Holder } from '../../../../src/core/ipam/subnet.ts';
import { refuseCoveredUpstreams, upstreamHolders } from '../../../../src/core/ipam/upstream-holders.ts';

const corp = { name: 'corp', options: { dns: '10.0.0.53:5353,2001:db8::53' } };

it('no network takes the place of a name server', () => {
  const holders = upstreamHolders([corp, { name: 'web', options: {} }]);
  expect(chooseSubnet([{ base: '10.0.0.0/8', prefix: 24 }], holders)).toEqual(requireCidr('10.0.1.0/24', ''));
  expect(() => checkSubnet('10.0.0.0/24', holders)).toThrow(
    '10.0.0.53, a name server of network corp; choose a subnet',
  );
});

it('no name server lies in a network', () => {
  const held = (cidr: string, kind: Holder['kind']): Holder => ({
    block: requireCidr(cidr, ''),
    who: 'network web',
    kind,
  });
  refuseCoveredUpstreams(corp, [held('10.0.1.0/24', 'network'), held('10.0.0.0/16', 'route')]);
  expect(() => refuseCoveredUpstreams(corp, [held('10.0.0.0/24', 'network')])).toThrow(
    'option dns: 10.0.0.53 lies in 10.0.0.0/24 of network web',
  );
});
