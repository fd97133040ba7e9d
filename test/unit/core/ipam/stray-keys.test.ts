/** Keys below the prefix that no record has: told by `ipam check`, and left alone. */
import { expect, it } from 'vitest';
import { checkAddresses } from '../../../../src/core/ipam/check.ts';
import { keys, PREFIX, SUBNET_GUARD } from '../../../../src/core/records.ts';

const check = (...found: readonly string[]) =>
  checkAddresses(
    found.map((key) => ({ key, value: '{}' })),
    { nodeId: 'h1', byId: new Map(), isUnderway: () => false },
  );

it.each([
  'later/n1',
  'later',
  '',
  'cluster/h1',
  'nodes',
  'nodes/h1/more',
  'endpoints/h1',
  'addresses/n1',
  'addresses/n1/10.0.1.2/more',
])('%s is no record of this version', (rest) => {
  const key = `${PREFIX}${rest}`;
  expect(check(key)).toEqual([
    expect.objectContaining({ kind: 'foreign', key, owner: 'unknown', networkId: undefined, repair: undefined }),
  ]);
});

it('those of this version are no strays', () => {
  const endpoint = { nodeId: 'h1', id: 'e1' };
  const ofRecords = [
    ...[keys.cluster, keys.node('h1'), keys.nodeName('one'), keys.live('h1'), keys.network('n1')],
    ...[keys.networkName('web'), keys.networkAck('n1', 'h1'), keys.vni(4096), keys.subnet('10.0.1.0/24'), SUBNET_GUARD],
    ...[keys.endpoint(endpoint), keys.address('n1', 'fd00::2'), keys.mac('n1', '02:00:00:00:00:01')],
    ...[keys.staticNames('n1'), keys.quarantine('n1', '10.0.1.2'), keys.token('t1')],
  ];
  expect(check(...ofRecords).filter(({ kind }) => kind === 'foreign')).toEqual([]);
});
