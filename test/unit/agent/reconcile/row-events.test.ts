import { describe, expect, it } from 'vitest';
import { lastOfEach, withRowEvents } from '../../../../src/agent/reconcile/row-events.ts';
import type { FdbRow, Link, NamespaceState, Neighbour } from '../../../../src/core/host-state.ts';
import type { RowEvent } from '../../../../src/core/kernel-change.ts';
import { ALL_ZEROS, fdbRows, neighbourRows } from '../../../../src/core/row-table.ts';

const neighbour: Neighbour = { link: 'vx0', address: '10.0.0.9', mac: '02:42:0a:00:00:09' };
const tunnel: FdbRow = { link: 'vx0', mac: '02:42:0a:00:00:09', vtep: '10.77.0.2', port: undefined };
const port: FdbRow = { link: 'e1', mac: '02:42:0a:00:00:02' };
const state = {
  links: new Map([['vx0', { name: 'vx0', index: 7 } as Link]]),
  neighbours: [neighbour],
  fdb: [tunnel, port],
} as unknown as NamespaceState;

const event = (what: RowEvent['what'], row: Neighbour | FdbRow, change: Partial<RowEvent> = {}): RowEvent => ({
  ...{ index: 1, address: undefined, vtep: undefined, port: undefined },
  ...row,
  ...change,
  what,
});

const neighboursOf = (now: NamespaceState | undefined) => now && neighbourRows(now.neighbours);
const fdbOf = (now: NamespaceState | undefined) => now && fdbRows(now.fdb);

describe('an event that tells what is known', () => {
  it.each([
    ['a neighbour that is there', event('written', neighbour)],
    ['a neighbour that is not', event('gone', { ...neighbour, address: '10.0.0.8' })],
    ['one that the kernel knows by itself', event('unwritten', { ...neighbour, address: '10.0.0.8' })],
    ['a row of the tunnel', event('written', tunnel)],
    ['a row of a port', event('written', port)],
    ['a row that leads elsewhere and goes', event('gone', { ...tunnel, vtep: '10.77.0.7' })],
    ['a row of a link that has its index alone', event('written', tunnel, { link: undefined, index: 7 })],
  ])('changes nothing: %s', (_, told) => {
    expect(withRowEvents(state, [told])).toBe(state);
  });
});

describe('an event that tells something else', () => {
  it('of a neighbour puts it right', () => {
    const other = { ...neighbour, mac: '02:42:0a:00:00:66' };
    expect(neighboursOf(withRowEvents(state, [event('written', other)]))).toEqual([other]);
    const more = { ...neighbour, address: '10.0.0.8' };
    expect(neighboursOf(withRowEvents(state, [event('written', more)]))).toEqual([neighbour, more]);
    expect(neighboursOf(withRowEvents(state, [event('gone', neighbour)]))).toEqual([]);
    expect(neighboursOf(withRowEvents(state, [event('unwritten', neighbour)]))).toEqual([]);
  });

  it('of a row that goes takes it away', () => {
    expect(fdbOf(withRowEvents(state, [event('gone', tunnel)]))).toEqual([port]);
    expect(fdbOf(withRowEvents(state, [event('gone', port)]))).toEqual([tunnel]);
    expect(fdbOf(withRowEvents(state, [event('unwritten', port)]))).toEqual([tunnel]);
  });

  it('of a row that may stand beside others needs a look', () => {
    expect(withRowEvents(state, [event('written', { ...tunnel, vtep: '10.77.0.7' })])).toBeUndefined();
    expect(withRowEvents(state, [event('written', { ...tunnel, port: 9 })])).toBeUndefined();
    expect(withRowEvents(state, [event('written', { ...port, link: 'e2' })])).toBeUndefined();
    const twice = { ...state, fdb: [tunnel, { ...tunnel, vtep: '10.77.0.3' }] };
    expect(withRowEvents(twice, [event('written', tunnel)])).toBeUndefined();
  });

  it('of a flood row among others puts right what is known, but for one that nobody knows', () => {
    const floods = ['10.77.0.2', '10.77.0.3'].map((vtep) => ({ ...tunnel, mac: ALL_ZEROS, vtep }));
    const flooded = { ...state, fdb: [tunnel, ...floods] };
    expect(withRowEvents(flooded, [event('written', floods[1]!)])).toBe(flooded);
    expect(fdbOf(withRowEvents(flooded, [event('gone', floods[0]!)]))).toEqual([tunnel, floods[1]]);
    expect(withRowEvents(flooded, [event('written', { ...floods[0]!, vtep: '10.77.0.4' })])).toBeUndefined();
    expect(withRowEvents(flooded, [event('gone', { ...floods[0]!, port: 4790 })])).toBe(flooded);
  });

  it("of the bridge's row of a MAC is not of the tunnel's", () => {
    const bridge = { link: tunnel.link, mac: tunnel.mac };
    const both = { ...state, fdb: [tunnel, bridge] };
    expect(withRowEvents(both, [event('written', bridge)])).toBe(both);
    expect(fdbOf(withRowEvents(both, [event('gone', bridge)]))).toEqual([tunnel]);
    expect(fdbOf(withRowEvents(both, [event('gone', tunnel)]))).toEqual([bridge]);
    expect(withRowEvents(state, [event('written', bridge)])).toBeUndefined();
  });

  it('of a link that is not known needs a look', () => {
    expect(withRowEvents(state, [event('gone', tunnel, { link: undefined, index: 8 })])).toBeUndefined();
  });
});

it('of a burst the last of each row counts', () => {
  const there = event('written', neighbour);
  const burst = [event('gone', neighbour), event('written', tunnel), there, event('gone', port)];
  expect(lastOfEach(burst)).toEqual([there, burst[1], burst[3]]);
  expect(withRowEvents(state, lastOfEach([event('gone', neighbour), there]))).toBe(state);
  // A row beside it is another one.
  const beside = event('written', { ...tunnel, vtep: '10.77.0.66' });
  expect(withRowEvents(state, lastOfEach([beside, event('written', tunnel)]))).toBeUndefined();
});
