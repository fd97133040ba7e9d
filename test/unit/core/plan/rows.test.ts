import { expect, test } from 'vitest';
import type { FdbRow, Neighbour } from '../../../../src/core/host-state.ts';
import { NO_ROWS, rowsOps, singleOps } from '../../../../src/core/plan/rows.ts';
import { ALL_ZEROS } from '../../../../src/core/row-table.ts';

const AT = 'ovl-4096';
const MAC = '02:42:0a:00:00:05';
const hex = (byte: number) => byte.toString(16).padStart(2, '0');
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

test('of flood rows each tunnel end has its own, and none is overwritten', () => {
  const floods = (...vteps: readonly string[]) => ({ ...NO_ROWS, fdb: vteps.map((vtep) => row(vtep, ALL_ZEROS)) });
  const { sets, removals } = rowsOps(AT, floods('10.77.0.2', '10.77.0.3'), floods('10.77.0.9', '10.77.0.3'));
  expect(sets).toEqual([{ kind: 'set-fdb', at: AT, row: row('10.77.0.2', ALL_ZEROS) }]);
  expect(removals).toEqual([{ kind: 'delete-fdb', at: AT, row: row('10.77.0.9', ALL_ZEROS) }]);
});

test('of a MAC the row of the tunnel and that of the bridge are two', () => {
  const bridge: FdbRow = { link: 'vx0', mac: MAC };
  const both = { ...NO_ROWS, fdb: [row('10.77.0.2'), bridge] };
  expect(rowsOps(AT, both, { ...NO_ROWS, fdb: [bridge] }).sets).toEqual([
    { kind: 'set-fdb', at: AT, row: row('10.77.0.2') },
  ]);
  expect(rowsOps(AT, both, { ...NO_ROWS, fdb: [row('10.77.0.2')] }).sets).toEqual([
    { kind: 'set-fdb', at: AT, row: bridge },
  ]);
  expect(rowsOps(AT, NO_ROWS, both).removals).toHaveLength(2);
});

test('many rows of the tunnel are one op, flood rows one each', () => {
  const ends = Array.from({ length: 100 }, (_, nth) => row(`10.77.1.${nth}`, `02:42:0a:00:01:${hex(nth)}`));
  const bridge = ends.map(({ link, mac }): FdbRow => ({ link, mac }));
  const floods = [row('10.77.1.1', ALL_ZEROS), row('10.77.1.2', ALL_ZEROS)];
  const { sets } = rowsOps(AT, { ...NO_ROWS, fdb: [...ends, ...bridge, ...floods] }, NO_ROWS);
  expect(sets.slice(0, 2)).toEqual(floods.map((each) => ({ kind: 'set-fdb', at: AT, row: each })));
  expect(sets).toHaveLength(3);
  expect(singleOps(sets[2]!).map((op) => op.kind === 'set-fdb' && op.row)).toEqual([...ends, ...bridge]);
});

test('rows of other links among many of the tunnel are single ones', () => {
  const all = Array.from({ length: 200 }, (_, nth) => {
    const of = row(`10.77.1.${nth}`, `02:42:0a:00:01:${hex(nth)}`);
    return nth % 50 === 25 ? { link: 'ovl-p', mac: of.mac } : of;
  });
  // Some are there already, so that those which are written have others between them.
  const seen = all.filter((_, nth) => nth % 7 === 3);
  const { sets } = rowsOps(AT, { ...NO_ROWS, fdb: all }, { ...NO_ROWS, fdb: seen });
  const written = sets.flatMap(singleOps).map((op) => op.kind === 'set-fdb' && op.row);
  expect(sets.filter(({ kind }) => kind === 'set-rows')).toHaveLength(1);
  const isOne = ({ link }: FdbRow) => link === 'ovl-p';
  const missing = all.filter((_, nth) => nth % 7 !== 3);
  expect(written).toEqual([...missing.filter(isOne), ...missing.filter((each) => !isOne(each))]);
});

test('a wrong neighbour is replaced and not removed; that of another link is another one', () => {
  const wanted = [neighbour('10.0.0.5'), neighbour('10.0.0.6')];
  const seen = [neighbour('10.0.0.5', '02:42:0a:00:00:99'), neighbour('10.0.0.6'), neighbour('10.0.0.6', MAC, 'br0')];
  const { sets, removals } = rowsOps(AT, { ...NO_ROWS, neighbours: wanted }, { ...NO_ROWS, neighbours: seen });
  expect(sets).toEqual([{ kind: 'set-neighbour', at: AT, neighbour: neighbour('10.0.0.5') }]);
  expect(removals).toEqual([{ kind: 'delete-neighbour', at: AT, neighbour: neighbour('10.0.0.6', MAC, 'br0') }]);
});
