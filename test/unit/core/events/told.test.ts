import { expect, test } from 'vitest';
import type { HostEvent } from '../../../../src/core/events/host-event.ts';
import { LeftOutCounts, NewestEvents } from '../../../../src/core/events/told.ts';

const H1 = { id: 'n1', name: 'h1' };
const H2 = { id: 'n2', name: 'h2' };
const event = (at: number, type = 'network-created'): HostEvent => ({
  ...{ seq: at, type, at, level: 'info', message: 'm', fields: {} },
});

test('of many hosts the newest stay, in the order of time; the others are counted by host and type', () => {
  const leftOut = new LeftOutCounts();
  const newest = new NewestEvents(3, leftOut);
  newest.add(H1, [event(1, 'member-down'), event(2), event(9)]);
  for (let at = 3; at <= 7; at++) newest.add(H2, [event(at)]);
  newest.add(H1, [event(4), event(6)]);
  expect(newest.all().map(({ host, event: { at } }) => [host.name, at])).toEqual([
    ['h1', 6],
    ['h2', 7],
    ['h1', 9],
  ]);
  expect(leftOut.take()).toEqual([
    { host: 'h1', type: 'member-down', count: 1 },
    { host: 'h1', type: 'network-created', count: 2 },
    { host: 'h2', type: 'network-created', count: 4 },
  ]);
  expect(leftOut.take()).toEqual([]);
});

test('of one moment they stay as they came', () => {
  const newest = new NewestEvents(10, new LeftOutCounts());
  newest.add(H1, [event(5, 'a'), event(5, 'b')]);
  newest.add(H2, [event(5, 'c')]);
  newest.add(H1, [event(5, 'd'), event(4, 'e')]);
  expect(newest.all().map(({ event: { type } }) => type)).toEqual(['e', 'a', 'b', 'c', 'd']);
});

test('a host that makes up types has two hundred, and one for the others', () => {
  const leftOut = new LeftOutCounts();
  for (let nth = 0; nth < 1_000; nth++) leftOut.add({ host: 'h1', type: `t${nth}`, count: 1 });
  leftOut.add({ host: 'h1', type: 't0', count: 4 });
  const taken = leftOut.take();
  expect(taken).toHaveLength(201);
  expect(taken[0]).toEqual({ host: 'h1', type: 't0', count: 5 });
  expect(taken.at(-1)).toEqual({ host: 'h1', type: 'others', count: 800 });
});
