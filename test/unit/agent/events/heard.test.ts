import { expect, test } from 'vitest';
import { Heard } from '../../../../src/agent/events/heard.ts';
import type { HostEvent } from '../../../../src/core/events/host-event.ts';
import type { Told } from '../../../../src/core/events/told.ts';

const HOST = { id: 'n1', name: 'h1' };
const event = (at: number): HostEvent => ({
  ...{ seq: at, type: 'kernel-repaired', at, level: 'info', message: 'm', fields: {} },
});
const told = (first: number, count: number): Told => ({
  events: Array.from({ length: count }, (_, nth) => ({ host: HOST, event: event(first + nth) })),
  ...{ leftOut: [], away: [] },
});

test('for whoever does not read what is too much is counted up, and nothing more is held', async () => {
  const heard = new Heard();
  for (let nth = 0; nth < 2_000; nth++) heard.add(told(nth * 500, 500));
  heard.add({ events: [], leftOut: [{ host: 'h1', type: 'kernel-repaired', count: 7 }], away: [] });
  for (const reason of ['gone', 'gone again']) heard.add({ events: [], leftOut: [], away: [{ host: 'h2', reason }] });
  const reading = heard.told();
  const parts: Told[] = [];
  while (parts.length < 10) parts.push((await reading.next()).value!);
  expect(parts.flatMap(({ events }) => events.map(({ event: { at } }) => at))).toEqual(
    Array.from({ length: 5_000 }, (_, nth) => nth),
  );
  expect(parts[0]).toMatchObject({
    leftOut: [{ host: 'h1', type: 'kernel-repaired', count: 995_007 }],
    away: [{ host: 'h2', reason: 'gone again' }],
  });
  expect(parts.slice(1).every(({ leftOut, away }) => leftOut.length + away.length === 0)).toBe(true);
  heard.add(told(1_000_000, 1));
  expect((await reading.next()).value).toEqual(told(1_000_000, 1));
  heard.end();
  expect(await reading.next()).toEqual({ done: true, value: undefined });
});
