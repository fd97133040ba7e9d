import { expect, it } from 'vitest';
import { Batch } from '../../../../src/adapters/kernel/batch.ts';
import type { Op } from '../../../../src/core/host-state.ts';
import { neighbourTable } from '../../../../src/core/row-table.ts';

const mac = '02:42:0a:00:00:01';
const rows = (link: string, count: number) =>
  Array.from({ length: count }, (_, nth) => ({ link, address: `10.0.${nth >> 8}.${nth & 255}`, mac }));
const single = (link: string, count: number): Op[] =>
  rows(link, count).map((neighbour) => ({ kind: 'set-neighbour', at: 'ovl-7', neighbour }));

const noAnswer = (): never => {
  throw new Error('no answer');
};

/** A socket that breaks when it is first asked for something to be done, as when no answer comes. */
const broken = {
  request: noAnswer,
  requestMany: noAnswer,
  indexOf: () => 7,
};

function failed(ops: readonly Op[]): number[] {
  const batch = new Batch(broken, noAnswer);
  for (const [at, op] of ops.entries()) batch.add(op, at);
  batch.flush();
  return [...batch.failures.keys()].sort((a, b) => a - b);
}

it('of a socket that breaks in the midst, nothing that waited to be sent counts as done', () => {
  // The link of the last two has to be asked for, and so what waits goes first.
  expect(failed([...single('vx0', 3), ...single('br0', 2)])).toEqual([0, 1, 2, 3, 4]);
});

it('nor of more than are kept', () => {
  expect(failed(single('vx0', 1_200))).toHaveLength(1_200);
});

it('nor any of many rows, nor what waited before them', () => {
  const many: Op = { kind: 'set-rows', at: 'ovl-7', rows: neighbourTable(rows('vx0', 100)) };
  expect(failed([...single('vx0', 2), many])).toEqual([0, 1, 2]);
});
