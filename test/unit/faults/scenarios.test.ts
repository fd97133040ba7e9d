import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pageOf } from '../../faults/faults.ts';
import { lostText, measuredText, type Outcome, renderOutcomes, verdictOf } from '../../faults/outcome.ts';
import type { Scenario } from '../../faults/scenario.ts';
import { SCENARIOS } from '../../faults/scenarios.ts';
import { ROOT } from '../../lab/host.ts';

const scenario = (parts: Partial<Scenario> = {}): Scenario => ({
  ...{ name: 'split', title: 'A split', limit: '2 s', limitsMs: { '': 2_000, back: 500 }, mayLose: 0 },
  proofs: [{ suite: 'e2e', file: 'faults.test.ts' }],
  ...parts,
});
const outcome = (measured: Outcome['measured'], tests = { passed: 2, failed: 0 }, parts: Partial<Scenario> = {}) => ({
  ...{ scenario: scenario(parts), tests, measured },
});

describe('the scenarios', () => {
  it('have names of their own, and each a test or a reason why not', () => {
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
    for (const { name, proofs, why } of SCENARIOS) expect(proofs.length > 0 || why !== undefined, name).toBe(true);
  });

  it.each(SCENARIOS)('$name: its tests are there', ({ proofs }) => {
    for (const { file, suite, test } of proofs) {
      const path = join(ROOT, 'test', suite, file);
      expect(existsSync(path), path).toBe(true);
      if (test !== undefined) expect(readFileSync(path, 'utf8'), path).toContain(test);
    }
  });

  it('are all that tests tell measurements of, and the other way round where there is a limit in time', () => {
    const tests = readdirSync(join(ROOT, 'test/e2e'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.test.ts'),
    );
    const text = tests.map((file) => readFileSync(join(ROOT, 'test/e2e', file), 'utf8')).join('\n');
    const told = [...text.matchAll(/scenario: '([^']+)'/g)].map((match) => match[1]!);
    const names = new Set(SCENARIOS.map(({ name }) => name));
    expect(told.filter((name) => !names.has(name))).toEqual([]);
    const silent = SCENARIOS.filter(({ limitsMs, name }) => limitsMs && !text.includes(`'${name}'`));
    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  it('are those of the page', () => {
    const page = readFileSync(join(ROOT, 'docs/faults.md'), 'utf8');
    expect(pageOf(page)).toBe(page);
  });
});

describe('what came of a scenario', () => {
  it('is judged by its tests, its limits and the packets lost', () => {
    expect(verdictOf(outcome([]))).toBe('ok');
    expect(verdictOf(outcome([{ scenario: 'split', ms: 1_999 }]))).toBe('ok');
    expect(verdictOf(outcome([{ scenario: 'split', ms: 2_001 }]))).toBe('over');
    expect(verdictOf(outcome([{ scenario: 'split', what: 'back', ms: 501 }]))).toBe('over');
    expect(verdictOf(outcome([{ scenario: 'split', what: 'other', ms: 90_000 }]))).toBe('ok');
    expect(verdictOf(outcome([{ scenario: 'split', packets: 1_000, lost: 1 }]))).toBe('over');
    expect(verdictOf(outcome([], { passed: 1, failed: 1 }))).toBe('failed');
    expect(verdictOf(outcome([], { passed: 0, failed: 0 }))).toBe('missing');
    expect(verdictOf(outcome([], { passed: 0, failed: 0 }, { proofs: [] }))).toBe('not tested');
  });

  it('shows the worst of what was measured, and all packets', () => {
    const measured = [
      { scenario: 'split', ms: 40 },
      { scenario: 'split', ms: 1_240, packets: 500, lost: 0 },
      { scenario: 'split', what: 'back', ms: 99, packets: 700, lost: 2 },
    ];
    expect(measuredText(outcome(measured))).toBe('1.2 s, back 99 ms');
    expect(lostText(outcome(measured))).toBe('2 of 1200');
    expect(renderOutcomes([outcome(measured), outcome([])]).split('\n')).toEqual([
      'scenario  limit  measured           lost       tests',
      'split     2 s    1.2 s, back 99 ms  2 of 1200  2      over',
      'split     2 s    –                  –          2      ok',
      '',
      '1 over, 1 ok',
    ]);
  });
});
