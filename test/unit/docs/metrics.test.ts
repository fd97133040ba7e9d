import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { METRICS } from '../../../src/core/metrics/catalog.ts';

const page = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');

it('documents every metric with its type, labels and meaning, in the order of the table, and no other', () => {
  const rows = page
    .split('\n')
    .filter((line) => /^\| `(overlayd|process)_/.test(line) && line.split(' | ').length === 4);
  const expected = Object.values(METRICS).map(({ name, type, labels, help }) => {
    const listed = labels.map((label) => `\`${label}\``).join(', ') || '–';
    return `| \`${name}\` | ${type} | ${listed} | ${help} |`;
  });
  expect(rows).toEqual(expected);
});

it('names no metric that there is not', () => {
  const known = Object.values(METRICS).map(({ name }) => name);
  const named = [...page.matchAll(/\b(?:overlayd|process)_[a-z_]+[a-z]\b/g)].map(([name]) => name);
  // Beginnings of several, and the option.
  expect(named.filter((name) => !known.some((each) => each === name || each.startsWith(`${name}_`)))).toEqual([]);
});
