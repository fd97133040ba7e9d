import { expect, test } from 'vitest';
import type { FdbRow, Neighbour } from '../../../../src/core/host-state.ts';
import { NO_ROWS, rowsOps } from '../../../../src/core/plan/rows.ts';

const AT = 'ovl-4096';
const MAC = '02:42:0a:00:00:05';
const row = (vtep: string, mac = MAC): FdbRow => ({ link: 'vx0', mac, vtep });
const neighbour = (address: string, mac = MAC, link = 'vx0'): Neighbour => ({ link, address, mac });

test('of several tunnel ends for one MAC the wanted one stays and the others go', () => {
  const seen = [row('10.77.0.9'), row('10.77.0.2'), row('10.77.0.8'), row('10.77.0.3', '02:42:0a:00:00:06')];
  const { sets, removals } = rowsOps(AT, { ...NO_ROWS, fdb: [row('10.77.0.2')] }, { ...NO_ROWS, fdb: seen });
  expect(sets).toEqual([]);
  expect(removals).toEqual([
    { kind: 'delete-fdb', at: AT, row: row('10.77.0.9') },
    { kind: 'delete-fdb', at: AT, row: row('10.77.0.8') },
    { kind: 'delete-fdb', at: AT, row: row('10.77.0.3', '02:42:0a:00:00:06') },
  ]);
});

test('of several wrong tunnel ends the first is overwritten and only the others are removed', () => {
  const seen = [row('10.77.0.9'), row('10.77.0.8')];
  const { sets, removals } = rowsOps(AT, { ...NO_ROWS, fdb: [row('10.77.0.2')] }, { ...NO_ROWS, fdb: seen });
  expect(sets).toEqual([{ kind: 'set-fdb', at: AT, row: row('10.77.0.2') }]);
  expect(removals).toEqual([{ kind: 'delete-fdb', at: AT, row: row('10.77.0.8') }]);
});

test('a wrong neighbour is replaced and not removed; that of another link is another one', () => {
  const wanted = [neighbour('10.0.0.5'), neighbour('10.0.0.6')];
  const seen = [neighbour('10.0.0.5', '02:42:0a:00:00:99'), neighbour('10.0.0.6'), neighbour('10.0.0.6', MAC, 'br0')];
  const { sets, removals } = rowsOps(AT, { ...NO_ROWS, neighbours: wanted }, { ...NO_ROWS, neighbours: seen });
  expect(sets).toEqual([{ kind: 'set-neighbour', at: AT, neighbour: neighbour('10.0.0.5') }]);
  expect(removals).toEqual([{ kind: 'delete-neighbour', at: AT, neighbour: neighbour('10.0.0.6', MAC, 'br0') }]);
});
