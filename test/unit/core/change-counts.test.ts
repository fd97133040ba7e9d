import { expect, it } from 'vitest';
import { ChangeCounts } from '../../../src/core/change-counts.ts';

it('a network that was forgotten and comes back has no moment that it had before', () => {
  const counts = new ChangeCounts('h1');
  const had = new Set<number>();
  const moments = () => [counts.moment('n1'), counts.momentOfOthers('n1')];
  for (let change = 0; change < 3; change++) {
    counts.noteEndpoints('n1', new Set(['h2']));
    for (const moment of moments()) had.add(moment);
  }
  counts.forget('n1');
  for (let change = 0; change < 3; change++) {
    for (const moment of moments()) expect(had.has(moment)).toBe(false);
    counts.noteEndpoints('n1', new Set(['h2']));
  }
});
