import { expect, it } from 'vitest';
import { parseMoment } from '../../../src/core/moment.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
/** Of this host's zone. */
const local = (...parts: readonly [number, number, number, number?, number?]) => new Date(...parts).getTime();

it.each([
  ['10m', NOW - 600_000],
  ['1h30m', NOW - 5_400_000],
  ['1.5h', NOW - 5_400_000],
  ['7d', NOW - 7 * 86_400_000],
  ['0', 0],
  ['1772366400', NOW],
  ['1772366400.25', NOW + 250],
  ['2026-01-31T10:00:00Z', Date.UTC(2026, 0, 31, 10)],
  ['2026-01-31t10:00:00.5+01:00', Date.UTC(2026, 0, 31, 9, 0, 0, 500)],
  ['2026-01-31 10:00', local(2026, 0, 31, 10)],
  ['2026-01-31T10:00', local(2026, 0, 31, 10)],
  ['2026-01-31', local(2026, 0, 31)],
])('%s', (text, expected) => {
  expect(parseMoment(text, NOW)).toBe(expected);
});

it.each(['', '10', '2026', '5 minutes', 'yesterday', '-5m', 'May 5', '2026-13-01', '2026-01-31T25:00:00Z', '10:00'])(
  'takes %j for no moment',
  (text) => {
    expect(parseMoment(text, NOW)).toBeUndefined();
  },
);
