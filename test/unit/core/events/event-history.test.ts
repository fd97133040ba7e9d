import { describe, expect, it, test } from 'vitest';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { EventFilter } from '../../../../src/core/events/event-filter.ts';
import { EventHistory } from '../../../../src/core/events/event-history.ts';
import { eventFields, parseEvent } from '../../../../src/core/events/host-event.ts';

const ALL: EventFilter = { sinceMs: 0, untilMs: 0, types: [], nodes: [], networks: [] };
const HOST = ['n1', 'h1'];
const EVERYTHING = { after: 0, limit: 10_000 };

function add(history: EventHistory, type: string, at: number, fields: object = {}): void {
  history.add({ type, at, level: 'info', message: 'm', fields: eventFields(fields) });
}

const typesOf = (history: EventHistory, filter: Partial<EventFilter> = {}, options = EVERYTHING) =>
  history.select({ ...ALL, ...filter }, HOST, options).events.map(({ type }) => type);

describe('a flood of one type', () => {
  const history = new EventHistory(20_000);
  add(history, 'join-admitted', 1, { name: 'h2' });
  for (let nth = 0; nth < 5_000; nth++) add(history, 'kernel-repaired', 2 + nth, { writes: nth });
  add(history, 'network-created', 6_000, { network: 'web' });

  it('pushes out its own, the oldest first, and says how many', () => {
    const { events, leftOut } = history.select(ALL, HOST, EVERYTHING);
    expect(events[0]).toMatchObject({ type: 'join-admitted', fields: { name: 'h2' } });
    expect(events.at(-1)).toMatchObject({ type: 'network-created' });
    const repairs = events.filter(({ type }) => type === 'kernel-repaired');
    expect(repairs.map(({ fields }) => fields.writes)).toEqual(repairs.map((_, nth) => 5_000 - repairs.length + nth));
    expect(leftOut).toEqual({ 'kernel-repaired': 5_000 - repairs.length });
    expect(repairs.length).toBeGreaterThan(100);
  });

  it('says so only where something of the time that is asked for went', () => {
    const { events } = history.select(ALL, HOST, EVERYTHING);
    const oldest = events.find(({ type }) => type === 'kernel-repaired')!.at;
    const leftOutSince = (sinceMs: number) => history.select({ ...ALL, sinceMs }, HOST, EVERYTHING).leftOut;
    expect(leftOutSince(oldest)).toHaveProperty('kernel-repaired');
    expect(leftOutSince(oldest + 1)).toEqual({});
  });

  it('stays within its bytes', () => {
    expect(history.linesAfter(0).join('').length).toBeLessThan(21_000);
  });

  it('is the same after a restart, though a crash cut off the last line', () => {
    const again = new EventHistory(20_000);
    again.restore([...history.linesAfter(0), '{"seq":99999,"type":"net', 'null', '[]', '7']);
    expect(again.select(ALL, HOST, EVERYTHING)).toEqual(history.select(ALL, HOST, EVERYTHING));
  });
});

test('numbers go up over restarts, whatever the clock does', () => {
  const history = new EventHistory();
  add(history, 'agent-started', 5_000);
  add(history, 'agent-stopped', 1_000);
  const again = new EventHistory();
  again.restore(history.linesAfter(0));
  add(again, 'agent-started', 10);
  const { events, cursor } = again.select(ALL, HOST, EVERYTHING);
  expect(events.map(({ seq, at }) => [seq, at])).toEqual([
    [5_000, 5_000],
    [5_001, 1_000],
    [5_002, 10],
  ]);
  expect(again.select(ALL, HOST, { after: 5_001, limit: 9 }).events.map(({ at }) => at)).toEqual([10]);
  expect(cursor).toBe(5_002);
});

test('more than is asked for is counted', () => {
  const history = new EventHistory();
  for (let at = 1; at <= 5; at++) add(history, at < 3 ? 'join-refused' : 'network-created', at);
  const { events, leftOut } = history.select(ALL, HOST, { after: 0, limit: 2 });
  expect([events.map(({ at }) => at), leftOut]).toEqual([[4, 5], { 'join-refused': 2, 'network-created': 1 }]);
});

describe('a filter', () => {
  const history = new EventHistory();
  add(history, 'join-admitted', 10, { name: 'h2' });
  add(history, 'network-created', 20, { network: 'web' });
  add(history, 'kernel-repaired', 30, { network: ['web', 'jobs'] });
  add(history, 'member-down', 40, { member: 'h3', nodeId: 'n3' });

  it.each([
    [{ types: ['join-*', 'data-path'] }, ['join-admitted', 'kernel-repaired']],
    [{ types: ['member'] }, ['join-admitted', 'member-down']],
    [{ networks: ['web'] }, ['network-created', 'kernel-repaired']],
    [{ networks: ['jobs'] }, ['kernel-repaired']],
    [{ nodes: ['h2', 'n3'] }, ['join-admitted', 'member-down']],
    [{ nodes: ['h1'], networks: ['web'] }, ['network-created', 'kernel-repaired']],
    [{ sinceMs: 20, untilMs: 30 }, ['network-created', 'kernel-repaired']],
    [{ nodes: ['h9'] }, []],
  ])('%j', (filter: Partial<EventFilter>, expected) => {
    expect(typesOf(history, filter)).toEqual(expected);
  });
});

test('what is kept of fields is bounded, and no secret', () => {
  const cause = new OverlaydError('conflict', 'OVLTKN-1-abc is taken');
  const fields = eventFields({
    token: 'OVLTKN-1-x',
    nested: { caKey: 'k', list: Array.from({ length: 40 }, (_, nth) => nth) },
    reason: `join with OVLTKN-1-abcdefgh refused ${'x'.repeat(1_000)}`,
    error: cause,
    nothing: undefined,
    more: Array.from({ length: 20 }, () => 'y'.repeat(300)),
  });
  expect(fields).toMatchObject({ token: '[secret]', error: '[secret] is taken' });
  expect(fields.nested).toMatchObject({ caKey: '[secret]' });
  expect(JSON.stringify(fields)).not.toContain('OVLTKN');
  expect(JSON.stringify(fields).length).toBeLessThan(2_100);
  expect(fields).not.toHaveProperty('nothing');
});

test('what has no date is no event', () => {
  const line = (at: number) => `{"seq":1,"type":"t","at":${at},"level":"info","message":"m","fields":{}}`;
  expect(new Date(parseEvent(line(8.64e15))!.at).toISOString()).toBe('+275760-09-13T00:00:00.000Z');
  expect(parseEvent(line(-8.64e15))).toBeDefined();
  expect([line(8.64e15 + 1), line(-8.64e15 - 1)].map(parseEvent)).toEqual([undefined, undefined]);
});
