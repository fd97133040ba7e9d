/**
 * What is known of a network's rows, put right by events instead of another look: of thousands of rows an event tells the
 * one that changed. Where an event does not tell enough (a device's row may replace another or stand beside it) a look
 * has to.
 */
import type { NamespaceState, Neighbour } from '../../core/host-state.ts';
import type { RowEvent } from '../../core/kernel-change.ts';
import { rowsLike } from '../../core/row-difference.ts';
import {
  ALL_ZEROS,
  fdbRowAt,
  fdbTable,
  neighbourAt,
  neighbourTable,
  withoutRows,
  withRows,
} from '../../core/row-table.ts';

/** The same object when it agrees with all events; undefined when it is not known how it is to be put right. */
export function withRowEvents(state: NamespaceState, events: readonly RowEvent[]): NamespaceState | undefined {
  let now = state;
  for (const event of events) {
    const link = event.link ?? nameOf(state, event.index);
    const next = link === undefined ? undefined : withRowEvent(now, event, link);
    if (!next) return undefined;
    now = next;
  }
  return now;
}

/** The last one of each row: what a burst came to. */
export function lastOfEach(events: readonly RowEvent[]): RowEvent[] {
  return [...new Map(events.map((event) => [keyOf(event), event])).values()];
}

/** A device may have several rows of one MAC. */
function keyOf({ index, address, mac, vtep, port }: RowEvent): string {
  return address === undefined ? `${index} ${mac} ${vtep} ${port}` : `${index} ${address}`;
}

function nameOf({ links }: NamespaceState, index: number): string | undefined {
  for (const link of links.values()) if (link.index === index) return link.name;
  return undefined;
}

function withRowEvent(state: NamespaceState, event: RowEvent, link: string): NamespaceState | undefined {
  if (event.address !== undefined) return withNeighbour(state, event, { link, address: event.address, mac: event.mac });
  const fdb = fdbTable(state.fdb);
  const { mac, vtep, port } = event;
  const positions = rowsLike(fdb, fdbTable([{ link, mac, vtep }]));
  const rows = positions.map((nth) => fdbRowAt(fdb, nth));
  if (event.what === 'written') {
    const isThere = rows.some((row) => row.vtep === vtep && row.port === port);
    return isThere && (rows.length === 1 || mac === ALL_ZEROS) ? state : undefined;
  }
  const gone = positions.filter((_, at) => rows[at]!.vtep === vtep && rows[at]!.port === port);
  return gone.length === 0 ? state : { ...state, fdb: withoutRows(fdb, gone) };
}

function withNeighbour(state: NamespaceState, { what }: RowEvent, row: Neighbour): NamespaceState {
  const all = neighbourTable(state.neighbours);
  // One that goes is told without its MAC.
  const one = neighbourTable([{ ...row, mac: what === 'written' ? row.mac : ALL_ZEROS }]);
  const old = rowsLike(all, one);
  if (what === 'written' ? old.some((nth) => neighbourAt(all, nth).mac === row.mac) : old.length === 0) return state;
  const others = withoutRows(all, old);
  return { ...state, neighbours: what === 'written' ? withRows(others, one) : others };
}
