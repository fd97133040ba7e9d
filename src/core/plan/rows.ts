/**
 * Rows of a namespace by set difference. Sets are `replace`, so a row that is wrong is corrected in place and never
 * missing in between. Scale: neighbours and FDB rows, of which there are thousands, are compared as numbers; a few of them
 * become an op each, and many of the tunnel's one op together.
 */
import type { Address, NamespaceState, Op, Place } from '../host-state.ts';
import { TUNNEL } from '../host-state.ts';
import { isSpliceOf, rowDifference } from '../row-difference.ts';
import {
  type FdbTable,
  fdbRowAt,
  fdbTable,
  isFloodRow,
  type NeighbourTable,
  neighbourAt,
  neighbourTable,
  ROW_WORDS,
  type RowTable,
  rowCount,
  rowsOfLinks,
} from '../row-table.ts';
import type { Rows } from './wanted.ts';

export interface RowOps {
  readonly sets: readonly Op[];
  readonly removals: readonly Op[];
}

/** So many rows of a kind are easier to read one by one. */
const MOST_SINGLE = 64;

/** What becomes of links: the rows of one that does not stay go with it. */
export interface Staying {
  readonly stays: (link: string) => boolean;
  /** Those that are about to be made, anew or for the first time. */
  readonly made: ReadonlySet<string>;
}

const ALL_STAY: Staying = { stays: () => true, made: new Set() };

/** `seen`: see {@link rowsOf}. */
export function rowsOps(at: Place, wanted: Rows, seen: Rows, links: Staying = ALL_STAY): RowOps {
  const addressKey = (row: Address) => `${row.link} ${row.address}/${row.prefix}`;
  const addresses = difference(
    wanted.addresses,
    seen.addresses.filter(({ unused }) => !unused),
    addressKey,
  );
  // One that is not in use does not become so by being set once more.
  const unused = seen.addresses.filter((row) => row.unused);
  const routes = difference(
    wanted.routes,
    seen.routes,
    (row) => `${row.destination} ${row.gateway} ${row.link} ${row.protocol} ${row.source}`,
  );
  const neighbours = tableOps(at, neighbourTable(wanted.neighbours), neighbourTable(seen.neighbours), links);
  const fdb = tableOps(at, fdbTable(wanted.fdb), fdbTable(seen.fdb), links);
  // A route that is replaced is not there any more to be removed.
  const rerouted = new Set(routes.missing.map(({ destination }) => destination));
  return {
    sets: [
      ...unused.map((address): Op => ({ kind: 'delete-address', at, address })),
      ...addresses.missing.map((address): Op => ({ kind: 'add-address', at, address })),
      ...neighbours.sets,
      ...routes.missing.map((route): Op => ({ kind: 'set-route', at, route })),
      ...fdb.sets,
    ],
    removals: [
      ...addresses.extra.map((address): Op => ({ kind: 'delete-address', at, address })),
      ...neighbours.removals,
      ...routes.extra
        .filter(({ destination }) => !rerouted.has(destination))
        .map((route): Op => ({ kind: 'delete-route', at, route })),
      ...fdb.removals,
    ],
  };
}

/**
 * A device has one neighbour of an address. A VXLAN device keeps several tunnel ends for one MAC; `replace` overwrites the
 * first of them.
 */
function tableOps(at: Place, wanted: RowTable, all: RowTable, { stays, made }: Staying): RowOps {
  const isMade = made.size > 0 && [...all.links.values()].some((link) => made.has(link));
  if (!isMade && (wanted === all || right.get(wanted) === all)) return NO_OPS;
  // Compared whole where that is the quicker; then what is too many may go with its link.
  const isQuick = !isMade && isSpliceOf(wanted, all);
  const seen = isQuick ? all : rowsOfLinks(all, stays);
  const { missing, extra: more } = rowDifference(wanted, seen);
  const extra = isQuick ? more.filter((nth) => stays(linkAt(all, nth))) : more;
  if (!isMade && missing.length + extra.length === 0) right.set(wanted, all);
  return {
    sets: opsOf('set', at, wanted, missing),
    removals: opsOf('delete', at, seen, extra),
  };
}

function linkAt({ kind, links, words }: RowTable, nth: number): string {
  return links.get(words[nth * ROW_WORDS[kind]]!) ?? '';
}

/** What was seen last and found to be what is wanted, by that. A table is never changed. */
const right = new WeakMap<RowTable, RowTable>();

const NO_OPS: RowOps = { sets: [], removals: [] };

/**
 * Flood rows are written in another way than the rest; there is one of a member. Both they and the rows of other links stand
 * before or behind thousands of the tunnel's, mostly: what lies between is copied at once.
 */
function opsOf(verb: 'set' | 'delete', at: Place, table: RowTable, positions: Int32Array): Op[] {
  const single: Op[] = [];
  const add = (nth: number) => single.push(singleOp(verb, at, table, nth));
  if (positions.length <= MOST_SINGLE) {
    positions.forEach(add);
    return single;
  }
  const { kind, links, words } = table;
  const size = ROW_WORDS[kind];
  let tunnel = -1;
  for (const [number, name] of links) if (name === TUNNEL) tunnel = number;
  const together = new Uint32Array(positions.length * size);
  let length = 0;
  for (let from = 0; from < positions.length; ) {
    const first = positions[from]!;
    let count = 0;
    while (positions[from + count] === first + count) {
      if (words[(first + count) * size] !== tunnel || isFloodRow(table, first + count)) break;
      count += 1;
    }
    if (count === 0) {
      add(first);
      from += 1;
      continue;
    }
    together.set(words.subarray(first * size, (first + count) * size), length);
    length += count * size;
    from += count;
  }
  if (length === 0) return single;
  const rows = { kind, links: new Map([[tunnel, TUNNEL]]), words: together.subarray(0, length) };
  return [...single, { kind: `${verb}-rows`, at, rows: rows as NeighbourTable | FdbTable }];
}

type OfRows = Extract<Op, { kind: 'set-rows' | 'delete-rows' }>;

export function isOfRows(op: Op): op is OfRows {
  return op.kind === 'set-rows' || op.kind === 'delete-rows';
}

/** The same as an op for each row. */
export function singleOps(op: Op): readonly Op[] {
  if (!isOfRows(op)) return [op];
  return Array.from({ length: rowCount(op.rows) }, (_, nth) => rowOp(op, nth));
}

/** The op of one of its rows. */
export function rowOp({ kind, at, rows }: OfRows, nth: number): Op {
  return singleOp(kind === 'set-rows' ? 'set' : 'delete', at, rows, nth);
}

function singleOp(verb: 'set' | 'delete', at: Place, table: RowTable, nth: number): Op {
  if (table.kind === 'fdb') return { kind: `${verb}-fdb`, at, row: fdbRowAt(table as FdbTable, nth) };
  return { kind: `${verb}-neighbour`, at, neighbour: neighbourAt(table as NeighbourTable, nth) };
}

/** How many changes of the kernel it is. */
export function writesOf(op: Op): number {
  return isOfRows(op) ? rowCount(op.rows) : 1;
}

function difference<T>(wanted: readonly T[], seen: readonly T[], key: (row: T) => string) {
  const have = new Set(seen.map(key));
  const want = new Set(wanted.map(key));
  return {
    missing: wanted.filter((row) => !have.has(key(row))),
    extra: seen.filter((row) => !want.has(key(row))),
  };
}

export const NO_ROWS: Rows = { addresses: [], routes: [], neighbours: [], fdb: [] };

/** Rows of a namespace: addresses and routes of those links alone that stay, and all neighbours and FDB rows. */
export function rowsOf(seen: NamespaceState | undefined, stays: (link: string) => boolean): Rows {
  if (!seen) return NO_ROWS;
  return {
    addresses: seen.addresses.filter(({ link }) => stays(link)),
    routes: seen.routes.filter(({ link }) => stays(link)),
    neighbours: neighbourTable(seen.neighbours),
    fdb: fdbTable(seen.fdb),
  };
}
