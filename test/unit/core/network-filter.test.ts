import { describe, expect, it } from 'vitest';
import { parsePruneFilters } from '../../../src/core/network-filter.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';

const HOUR = 3_600_000;
const NOW = 1_000 * HOUR;

const network = (createdAt: number, labels: Record<string, string> = {}): NetworkRecord => ({
  id: 'a'.repeat(64),
  name: 'web',
  vni: 4096,
  subnets: [],
  internal: false,
  attachable: true,
  labels,
  options: {},
  createdAt,
  state: 'active',
});

describe('prune filters', () => {
  it.each([
    ['until=24h', network(NOW - 25 * HOUR), true],
    ['until=24h', network(NOW - 23 * HOUR), false],
    ['until=1h30m', network(NOW - 2 * HOUR), true],
    [`until=${new Date(NOW - HOUR).toISOString()}`, network(NOW - 2 * HOUR), true],
    ['label=env', network(0, { env: 'test' }), true],
    ['label=env=test', network(0, { env: 'prod' }), false],
    ['label!=env=test', network(0, { env: 'prod' }), true],
    ['label!=env', network(0, { env: 'prod' }), false],
  ])('%s', (filter, candidate, selected) => {
    expect(parsePruneFilters([filter], NOW)(candidate)).toBe(selected);
  });

  it('must all hold', () => {
    const selects = parsePruneFilters(['until=24h', 'label=env'], NOW);
    expect(selects(network(0))).toBe(false);
    expect(selects(network(0, { env: '1' }))).toBe(true);
  });

  it.each([
    ['until', 'filter "until" is not key=value'],
    ['until=soon', 'not a duration or time'],
    ['lable=x', 'did you mean "label"?'],
    ['driver=overlay', 'Known filters: until=, label=, label!='],
  ])('%s is refused', (filter, message) => {
    expect(() => parsePruneFilters([filter], NOW)).toThrow(message);
  });
});
