import { expect, it } from 'vitest';
import { checkAddresses } from '../../../../src/core/ipam/check.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { networkRecord } from '../../../fixtures/records.ts';

const SERVICES = keys.services('n1');
const CLAIM = keys.address('n1', '10.0.1.100');
const service = { id: 's1', name: 'api', addresses: [{ subnet: '10.0.1.0/24', ip: '10.0.1.100' }], createdAt: 1 };

function check(services: object | string | undefined) {
  const records = [
    [keys.network('n1'), networkRecord()],
    [CLAIM, { endpointId: 's1', nodeId: '' }],
    ...(services === undefined ? [] : [[SERVICES, services] as const]),
  ] as const;
  const stored = records.map(([key, record]) => ({
    key,
    value: typeof record === 'string' ? record : encodeRecord(record),
  }));
  return checkAddresses(stored, { nodeId: 'h1', byId: new Map(), isUnderway: () => false });
}

it('the address of a service is its own, also where services cannot be read', () => {
  expect(check({ networkId: 'n1', services: [service] })).toEqual([]);
  expect(check('{}').map(({ kind, key }) => [kind, key])).toEqual([['unreadable', SERVICES]]);
});

it('that of one that is gone is given back', () => {
  const elsewhere = { ...service, addresses: [{ subnet: '10.0.1.0/24', ip: '10.0.1.101' }] };
  for (const services of [undefined, { networkId: 'n1', services: [] }, { networkId: 'n1', services: [elsewhere] }]) {
    const [found, ...others] = check(services);
    expect(others).toEqual([]);
    expect(found).toMatchObject({ kind: 'leaked', key: CLAIM, networkId: 'n1' });
    expect(found!.repair!.changes).toEqual([{ kind: 'delete', key: CLAIM }]);
    expect(found!.repair!.asFound).toContain(SERVICES);
  }
});
