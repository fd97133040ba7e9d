/**
 * Rows of a namespace by set difference over the whole tuple: an index by part of it would take a needed row for a
 * duplicate. Sets are `replace`, so a row that is wrong is corrected in place and never missing in between.
 */
import type { FdbRow, NamespaceState, Op, Place } from '../host-state.ts';
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
  const neighbours = difference(wanted.neighbours, seen.neighbours, (row) => `${row.link} ${row.address} ${row.mac}`);
  const fdb = fdbOps(at, wanted.fdb, seen.fdb);
  // A neighbour or route that is replaced is not there any more to be removed.
  const replaced = new Set(neighbours.missing.map(({ link, address }) => `${link} ${address}`));
  const rerouted = new Set(routes.missing.map(({ destination }) => destination));
  return {
    sets: [
      ...addresses.missing.map((address): Op => ({ kind: 'add-address', at, address })),
      ...neighbours.missing.map((neighbour): Op => ({ kind: 'set-neighbour', at, neighbour })),
      ...routes.missing.map((route): Op => ({ kind: 'set-route', at, route })),
      ...fdb.sets,
    ],
    removals: [
      ...addresses.extra.map((address): Op => ({ kind: 'delete-address', at, address })),
      ...neighbours.extra
        .filter(({ link, address }) => !replaced.has(`${link} ${address}`))
        .map((neighbour): Op => ({ kind: 'delete-neighbour', at, neighbour })),
      ...routes.extra
        .filter(({ destination }) => !rerouted.has(destination))
        .map((route): Op => ({ kind: 'delete-route', at, route })),
      ...fdb.removals,
    ],
  };
}

/** A VXLAN device keeps several tunnel ends for one MAC; `replace` overwrites the first of them. */
function fdbOps(at: Place, wanted: readonly FdbRow[], seen: readonly FdbRow[]): RowOps {
  const seenByMac = Map.groupBy(seen, (row) => `${row.link} ${row.mac}`);
  const sets: Op[] = [];
  const removals: Op[] = [];
  const remove = (row: FdbRow) => removals.push({ kind: 'delete-fdb', at, row });
  for (const row of wanted) {
    const key = `${row.link} ${row.mac}`;
    const rows = seenByMac.get(key) ?? [];
    seenByMac.delete(key);
    const right = rows.find((other) => other.vtep === row.vtep && other.port === row.port);
    if (!right) sets.push({ kind: 'set-fdb', at, row });
    for (const other of right ? rows.filter((each) => each !== right) : rows.slice(1)) remove(other);
  }
  for (const rows of seenByMac.values()) for (const row of rows) remove(row);
  return { sets, removals };
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
    neighbours: seen.neighbours.filter(({ link }) => stays(link)),
    fdb: seen.fdb.filter(({ link }) => stays(link)),
  };
}
