import { beforeEach, expect, test } from 'vitest';
import { Reservations } from '../../../../src/agent/engine/reservations.ts';
import type { EndpointRecord } from '../../../../src/core/records.ts';
import { endpointRecord } from '../../../fixtures/records.ts';

const both = (id: string, last: number) =>
  endpointRecord({
    id,
    addresses: [
      { subnet: '10.0.1.0/24', ip: `10.0.1.${last}` },
      { subnet: 'fd00:1::/64', ip: `fd00:1::${last}` },
    ],
  });
const [first, second] = [both('e1', 2), both('e2', 3)];
let reservations: Reservations;
const keep = (record: EndpointRecord, madeAt: number, told: readonly string[]) =>
  reservations.keep({ record, madeAt, told, isAsked: false });

beforeEach(() => {
  reservations = new Reservations();
});

test('the address of the other family is that of what was begun last', () => {
  keep(first, 0, ['10.0.1.2']);
  keep(second, 1, ['10.0.1.3']);
  const begun = reservations.begun('n1', 6)!;
  expect(begun.record).toBe(second);
  reservations.tell(begun, 'fd00:1::3');
  expect(reservations.begun('n1', 6)?.record).toBe(first);
  expect(reservations.begun('n1', 4)).toBeUndefined();
  expect(reservations.begun('n2', 6)).toBeUndefined();
});

test('one of a single family is no part of another', () => {
  keep(endpointRecord({ id: 'e3', address: '10.0.1.4' }), 0, ['10.0.1.4']);
  expect(reservations.begun('n1', 6)).toBeUndefined();
});

test('all are found by any of their addresses, and are as old as the first word of them', () => {
  keep(first, 5, ['10.0.1.2']);
  for (const address of ['10.0.1.2', 'fd00:1::2']) expect(reservations.find('n1', address)?.record).toBe(first);
  expect(reservations.find('n1', '10.0.1.3')).toBeUndefined();
  reservations.tell(reservations.find('n1', 'fd00:1::2')!, 'fd00:1::2');
  expect(reservations.madeBefore(4)).toEqual([]);
  expect(reservations.madeBefore(5).map(({ told }) => told)).toEqual([['10.0.1.2', 'fd00:1::2']]);
  expect(reservations.has(first)).toBe(true);
  reservations.remove(first);
  expect(reservations.has(first)).toBe(false);
});
