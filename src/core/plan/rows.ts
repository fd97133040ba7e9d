/**
 * Rows of a namespace by set difference. Sets are `replace`, so a row that is wrong is corrected in place and never
 * missing in between. Scale: neighbours and FDB rows, of which there are thousands, are found by what they already have
 * as text; keys made for each would cost several times the comparison. Those that are in the same place at either end
 * of both lists, as where one row was changed since, are not looked for at all.
 */
import type { FdbRow, NamespaceState, Neighbour, Op, Place } from '../host-state.ts';
import type { Rows } from './wanted.ts';

export interface RowOps {
  readonly sets: readonly Op[];
  readonly removals: readonly Op[];
}

/** `seen` without the rows of links that are about to be made anew. */
export function rowsOps(at: Place, wanted: Rows, seen: Rows): RowOps {
  const addresses = difference(wanted.addresses, seen.addresses, (row) => `${row.link} ${row.address}/${row.prefix}`);
  const routes = difference(
    wanted.routes,
    seen.routes,
    (row) => `${row.destination} ${row.gateway} ${row.link} ${row.protocol}`,
  );
  const neighbours = neighbourOps(at, wanted.neighbours, seen.neighbours);
  const fdb = fdbOps(at, wanted.fdb, seen.fdb);
  // A route that is replaced is not there any more to be removed.
  const rerouted = new Set(routes.missing.map(({ destination }) => destination));
  return {
    sets: [
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

/** A device has one neighbour of an address. */
function neighbourOps(at: Place, allWanted: readonly Neighbour[], allSeen: readonly Neighbour[]): RowOps {
  const [wanted, seen] = withoutCommonEnds(
    allWanted,
    allSeen,
    (a, b) => a.address === b.address && a.mac === b.mac && a.link === b.link,
  );
  const rest = new RowIndex(seen, ({ address }) => address);
  const sets: Op[] = [];
  for (const neighbour of wanted) {
    const old = rest.take(neighbour.link, neighbour.address);
    if (old?.mac !== neighbour.mac) sets.push({ kind: 'set-neighbour', at, neighbour });
  }
  return { sets, removals: rest.rows().map((neighbour): Op => ({ kind: 'delete-neighbour', at, neighbour })) };
}

/** A VXLAN device keeps several tunnel ends for one MAC; `replace` overwrites the first of them. */
function fdbOps(at: Place, allWanted: readonly FdbRow[], allSeen: readonly FdbRow[]): RowOps {
  const [wanted, seen] = withoutCommonEnds(
    allWanted,
    allSeen,
    (a, b) => a.mac === b.mac && a.vtep === b.vtep && a.link === b.link && a.port === b.port,
  );
  const rest = new RowIndex(seen, ({ mac }) => mac);
  const sets: Op[] = [];
  const removals: Op[] = [];
  for (const row of wanted) {
    const first = rest.take(row.link, row.mac);
    const others = rest.takeRepeated(row.link, row.mac);
    const rows = first ? [first, ...others] : [];
    const right = rows.find((other) => other.vtep === row.vtep && other.port === row.port);
    if (!right) sets.push({ kind: 'set-fdb', at, row });
    for (const other of right ? rows.filter((each) => each !== right) : others)
      removals.push({ kind: 'delete-fdb', at, row: other });
  }
  return { sets, removals: [...removals, ...rest.rows().map((row): Op => ({ kind: 'delete-fdb', at, row }))] };
}

/** Both are mostly in the same order, and differ in a row or two: only what lies between is worth an index. */
function withoutCommonEnds<T>(a: readonly T[], b: readonly T[], equal: (a: T, b: T) => boolean): [T[], T[]] {
  const shorter = Math.min(a.length, b.length);
  let front = 0;
  while (front < shorter && equal(a[front]!, b[front]!)) front += 1;
  let back = 0;
  while (back < shorter - front && equal(a[a.length - 1 - back]!, b[b.length - 1 - back]!)) back += 1;
  return [a.slice(front, a.length - back), b.slice(front, b.length - back)];
}

/** Rows by link and one more of their texts; what is taken is not in there any more. */
class RowIndex<T extends { readonly link: string }> {
  readonly #keyOf: (row: T) => string;
  readonly #byLink = new Map<string, Map<string, T>>();
  /** Hardly ever any. */
  #repeated: T[] = [];

  constructor(rows: readonly T[], keyOf: (row: T) => string) {
    this.#keyOf = keyOf;
    for (const row of rows) {
      let ofLink = this.#byLink.get(row.link);
      if (!ofLink) {
        ofLink = new Map();
        this.#byLink.set(row.link, ofLink);
      }
      const key = keyOf(row);
      if (ofLink.has(key)) this.#repeated.push(row);
      else ofLink.set(key, row);
    }
  }

  /** The first row of that key. */
  take(link: string, key: string): T | undefined {
    const ofLink = this.#byLink.get(link);
    const row = ofLink?.get(key);
    if (row) ofLink?.delete(key);
    return row;
  }

  takeRepeated(link: string, key: string): readonly T[] {
    if (this.#repeated.length === 0) return [];
    const isOf = (row: T) => row.link === link && this.#keyOf(row) === key;
    const taken = this.#repeated.filter(isOf);
    this.#repeated = this.#repeated.filter((row) => !isOf(row));
    return taken;
  }

  rows(): T[] {
    return [...[...this.#byLink.values()].flatMap((ofLink) => [...ofLink.values()]), ...this.#repeated];
  }
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

/** Rows of a namespace, of those links alone that stay. */
export function rowsOf(seen: NamespaceState | undefined, stays: (link: string) => boolean): Rows {
  if (!seen) return NO_ROWS;
  return {
    addresses: seen.addresses.filter(({ link }) => stays(link)),
    routes: seen.routes.filter(({ link }) => stays(link)),
    neighbours: rowsThat(seen.neighbours, stays),
    fdb: rowsThat(seen.fdb, stays),
  };
}

/** Mostly all of them, and then there is nothing to copy. */
function rowsThat<T extends { readonly link: string }>(
  rows: readonly T[],
  stays: (link: string) => boolean,
): readonly T[] {
  return rows.every(({ link }) => stays(link)) ? rows : rows.filter(({ link }) => stays(link));
}
