import { describe, expect, it } from 'vitest';
import type { FdbRow, Neighbour } from '../../../src/core/host-state.ts';
import { isOnlyOfMac, isSpliceOf, rowDifference, rowsLike, spliceRows } from '../../../src/core/row-difference.ts';
import {
  fdbRows,
  fdbTable,
  firstOfEachMac,
  neighbourRows,
  neighbourTable,
  numberedAs,
  rowsOfLinks,
  withoutRows,
  withRows,
} from '../../../src/core/row-table.ts';

const mac = (nth: number) => `02:42:ff:09:${hex(nth >> 8)}:${hex(nth & 255)}`;
const hex = (byte: number) => byte.toString(16).padStart(2, '0');
const neighbour = (nth: number, link = 'vx0'): Neighbour => ({
  link,
  address: `255.9.${nth >> 8}.${nth & 255}`,
  mac: mac(nth),
});
const fdb = (nth: number, changes: Partial<FdbRow> = {}): FdbRow => ({
  ...{ link: 'vx0', mac: mac(nth), vtep: '192.168.255.1', port: undefined },
  ...changes,
});
const upTo = (count: number) => Array.from({ length: count }, (_, nth) => nth);

describe('a table', () => {
  it('has the rows that it was made of', () => {
    const rows = [
      neighbour(0),
      neighbour(65_535, 'up0'),
      ...['fd00:1:2:3:4:5:6:7', '::', 'ffff::ffff', '::fffe:a00:1'].map((address) => ({ ...neighbour(1), address })),
      { link: 'vx0', address: '0.0.0.0', mac: 'FE:dc:BA:98:76:54' },
    ];
    expect(neighbourRows(neighbourTable(rows))).toEqual([
      ...rows.slice(0, -1),
      { ...rows.at(-1), mac: 'fe:dc:ba:98:76:54' },
    ]);
    const ends = [fdb(1, { port: 65_535 }), fdb(2), { link: 'e1', mac: mac(3) }, fdb(4, { vtep: '2001:db8::9' })];
    expect(fdbRows(fdbTable(ends))).toEqual(ends);
  });

  it.each(['', '10.0.0', '10.0.0.0.1', '10.0.0.256', '10.0.0.1/8', '10.0.0.:', 'fd00:::1'])(
    'has no address like "%s"',
    (address) => {
      expect(() => neighbourTable([{ link: 'vx0', address, mac: mac(1) }])).toThrow(/no IP address/);
    },
  );

  it('is the same where every row stays, and else has those that do', () => {
    const table = neighbourTable([neighbour(1), neighbour(2, 'up0'), neighbour(3)]);
    expect(rowsOfLinks(table, () => true)).toBe(table);
    expect(neighbourRows(rowsOfLinks(table, (link) => link === 'vx0'))).toEqual([neighbour(1), neighbour(3)]);
  });

  it('has no row of a link without a name among those of any', () => {
    const table = neighbourTable([neighbour(1), neighbour(2, 'up0'), neighbour(3)]);
    const unnamed = { ...table, links: new Map([...table.links].filter(([, name]) => name === 'vx0')) };
    expect(neighbourRows(rowsOfLinks(unnamed, () => true))).toEqual([neighbour(1), neighbour(3)]);
  });

  it('takes rows of another one, whatever numbers that has for the links', () => {
    const table = neighbourTable([neighbour(1), neighbour(2, 'up0')]);
    const other = neighbourTable([neighbour(3, 'br0'), neighbour(2, 'up0'), neighbour(4)]);
    expect(neighbourRows(withRows(table, other))).toEqual([...neighbourRows(table), ...neighbourRows(other)]);
    expect(neighbourRows(numberedAs(other, table))).toEqual(neighbourRows(other));
    expect(rowsLike(other, neighbourTable([{ ...neighbour(2, 'up0'), mac: mac(9) }]))).toEqual([1]);
    expect(rowsLike(other, neighbourTable([neighbour(2)]))).toEqual([]);
    expect(neighbourRows(withoutRows(other, [0, 2]))).toEqual([neighbour(2, 'up0')]);
  });

  it('keeps the first row of each MAC', () => {
    const all = fdbTable([fdb(1, { link: 'e1' }), fdb(2), fdb(1), fdb(3), fdb(2, { vtep: '10.0.0.9' })]);
    expect(fdbRows(firstOfEachMac(all))).toEqual([fdb(1, { link: 'e1' }), fdb(2), fdb(3)]);
    const once = fdbTable(upTo(100).map((nth) => fdb(nth)));
    expect(firstOfEachMac(once)).toBe(once);
  });
});

describe('a table with other rows in the place of some', () => {
  const names = (table: { readonly links: ReadonlyMap<number, string> }) => [...table.links.values()].sort();
  const of = (...numbers: readonly number[]) => fdbTable(numbers.map((nth) => fdb(nth, { link: `e${nth}` })));

  it('has those, and the names of their links', () => {
    const all = of(1, 2, 3, 4);
    const spliced = spliceRows(all, 1, 2, of(5));
    expect(fdbRows(spliced)).toEqual(fdbRows(of(1, 5, 4)));
    expect(names(spliced)).toEqual(['e1', 'e4', 'e5']);
    expect(fdbRows(all)).toEqual(fdbRows(of(1, 2, 3, 4)));
    expect([isSpliceOf(spliced, all), isSpliceOf(all, spliced)]).toEqual([true, false]);
  });

  it('differs from the first one in them alone, and in none that are the same', () => {
    const all = of(1, 2, 3, 4);
    const difference = (...args: [number, number, ReturnType<typeof of>]) => {
      const { missing, extra } = rowDifference(spliceRows(all, ...args), all);
      return [[...missing], [...extra]];
    };
    expect(difference(1, 2, of(5))).toEqual([[1], [1, 2]]);
    expect(difference(4, 0, of(5))).toEqual([[4], []]);
    expect(difference(1, 2, of(2, 3))).toEqual([[], []]);
    expect(difference(0, 1, of())).toEqual([[], [0]]);
    // What stands elsewhere as well is not taken away.
    expect(difference(0, 2, of(2))).toEqual([[], [0]]);
  });

  it('tells whether a MAC is there once', () => {
    const all = fdbTable([fdb(1), fdb(2), fdb(3), fdb(2, { link: 'e2' })]);
    expect([0, 1, 2, 3].map((nth) => isOnlyOfMac(all, nth))).toEqual([true, false, true, false]);
  });
});

describe('the difference of two tables', () => {
  const differ = (wanted: readonly FdbRow[], seen: readonly FdbRow[]) => {
    const { missing, extra } = rowDifference(fdbTable(wanted), fdbTable(seen));
    return [[...missing].map((nth) => wanted[nth]), [...extra].map((nth) => seen[nth])];
  };

  it('is nothing, in whatever order the rows are and whatever numbers the links have', () => {
    const rows = [fdb(0, { link: 'e1' }), ...upTo(1_000).map((nth) => fdb(nth + 1))];
    expect(differ(rows, rows)).toEqual([[], []]);
    expect(differ(rows, [...rows].reverse())).toEqual([[], []]);
    expect(differ([], [])).toEqual([[], []]);
  });

  it('is everything where there is nothing', () => {
    const rows = upTo(300).map((nth) => fdb(nth));
    expect(differ(rows, [])).toEqual([rows, []]);
    expect(differ([], rows)).toEqual([[], rows]);
  });

  it('is the rows that are missing, wrong or too many', () => {
    const rows = upTo(1_000).map((nth) => fdb(nth));
    const wrong = fdb(20, { port: 9 });
    const seen = [...rows.slice(500), fdb(2_000), ...rows.slice(1, 500)].map((row) =>
      row.mac === wrong.mac ? wrong : row,
    );
    expect(differ(rows, seen)).toEqual([[rows[0], rows[20]], [fdb(2_000)]]);
  });

  it('is not a second row that is the same as one that is wanted', () => {
    const rows = upTo(4).map((nth) => fdb(nth, { link: 'e1', vtep: undefined }));
    for (const twin of rows) {
      expect(differ(rows, [...rows, twin])).toEqual([[], []]);
      expect(differ(rows, [twin, ...rows])).toEqual([[], []]);
      expect(differ(rows, [...rows.slice(0, 2), twin, fdb(9), ...rows.slice(2)])).toEqual([[], [fdb(9)]]);
      expect(differ(rows.slice(1), [...rows, twin])[0]).toEqual([]);
    }
  });

  it('leaves the right one of several of a key, and where none is right lets the first be overwritten', () => {
    const [a, b, c] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((vtep) => fdb(5, { vtep }));
    expect(differ([fdb(1), b!, fdb(2)], [a!, b!, c!, fdb(2), fdb(1)])).toEqual([[], [a, c]]);
    expect(differ([fdb(1), c!, fdb(2)], [fdb(2), a!, b!, fdb(1)])).toEqual([[c], [b]]);
  });
});
