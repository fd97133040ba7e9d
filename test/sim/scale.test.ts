import { describe, expect, it } from 'vitest';
import { measure } from '../scale/experiment.ts';
import { theoryOf } from '../scale/theory.ts';

describe('clusters of the scale simulation', () => {
  it.each([10, 30])('of %i nodes hear of every attach and suspect nobody, though messages are lost', async (nodes) => {
    const found = await measure({ seed: 1, nodes, loss: 0.01, starved: 0.05 });
    expect(found.missed).toBe(0);
    expect(found.convergenceMs.length).toBe(5 * (nodes - 1));
    expect(found.falseSuspicions.calm).toBe(0);
    expect(found.hiddenMs.length).toBe(nodes - 1);
    // Virtual time: the same on every machine.
    expect(found.hiddenLastMs).toBeLessThan(10_000);
    expect(found.healedMs).toBeLessThan(2_000);
    expect(await measure({ seed: 1, nodes, loss: 0.01, starved: 0.05 })).toEqual(found);
  });

  it('are held beside a theory that grows with the logarithm of their size', () => {
    const [ten, thousand] = [theoryOf(10, 0, 1_000, 3), theoryOf(1_000, 0, 1_000, 3)];
    expect(thousand.rounds / ten.rounds).toBeCloseTo(3);
    expect(ten.firstDetectionMs).toBe(thousand.firstDetectionMs);
  });
});
