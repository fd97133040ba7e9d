import { expect, it } from 'vitest';
import { sharedMacs } from '../../../../src/agent/claims/mac-claims.ts';
import { firstAddress } from '../../../../src/core/records.ts';
import { endpointRecord } from '../../../fixtures/records.ts';

const endpoint = (address: string, mac: string) => endpointRecord({ address, mac, name: `at-${address}` });
const table = (...endpoints: readonly ReturnType<typeof endpoint>[]) =>
  new Map(endpoints.map((each) => [firstAddress(each), each]));

it('endpoints of one MAC are found among others, by it', () => {
  const [one, two, three, other] = [
    endpoint('10.0.0.2', '02:42:0a:00:00:02'),
    endpoint('10.0.0.3', '02:42:0a:00:00:02'),
    endpoint('10.0.0.5', '02:42:0a:00:00:02'),
    endpoint('10.0.0.4', '02:42:0a:00:00:04'),
  ] as const;
  expect(sharedMacs(table(one, other, two, three))).toEqual(new Map([[one.mac, [one, two, three]]]));
  expect(sharedMacs(table(one, other))).toEqual(new Map());
});
