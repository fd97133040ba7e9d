import { expect, test } from 'vitest';
import { experiments, groups } from '../../bench/experiments.ts';

test('no name is taken twice, and groups are of experiments that there are', () => {
  const names = experiments.map(({ name }) => name);
  const rows = experiments.flatMap((experiment) => experiment.rows.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(rows).size).toBe(rows.length);
  for (const name of Object.keys(groups)) expect([...names, ...rows]).not.toContain(name);
  expect(names).toEqual(expect.arrayContaining(Object.values(groups).flat()));
});
