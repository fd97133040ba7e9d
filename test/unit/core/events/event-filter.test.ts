import { expect, it } from 'vitest';
import { type EventFilter, requireBounded } from '../../../../src/core/events/event-filter.ts';

const ALL: EventFilter = { sinceMs: 0, untilMs: 0, types: [], nodes: [], networks: [] };
const many = (count: number) => Array.from({ length: count }, (_, nth) => `n${nth}`);

it.each(['types', 'nodes', 'networks'] as const)('a filter has a hundred %s at most, and short ones', (list) => {
  expect(() => requireBounded({ ...ALL, [list]: many(100) })).not.toThrow();
  expect(() => requireBounded({ ...ALL, [list]: ['x'.repeat(256)] })).not.toThrow();
  const code = 'invalid-argument';
  expect(() => requireBounded({ ...ALL, [list]: many(101) })).toThrow(expect.objectContaining({ code }));
  expect(() => requireBounded({ ...ALL, [list]: ['x'.repeat(257)] })).toThrow(expect.objectContaining({ code }));
});
