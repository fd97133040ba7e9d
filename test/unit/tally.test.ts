/** What `npm test` makes of what vitest leaves behind. */
import { describe, expect, it } from 'vitest';
import { sum, summary, tallyOf } from '../tally.ts';

const file = (status: string, ...statuses: readonly string[]) => ({
  ...{ name: '/root/test/unit/a.test.ts', status, message: 'Cannot find module\nand more' },
  assertionResults: statuses.map((each, at) => ({ status: each, fullName: `test ${at}` })),
});
const report = (passed: number, failed: number, ...testResults: readonly object[]) =>
  JSON.stringify({
    ...{ numPassedTests: passed, numFailedTests: failed, numPendingTests: 1, numTodoTests: 0 },
    testResults,
  });
const tally = (code: number, text: string | undefined) => tallyOf('unit', { code, report: text, root: '/root' });

describe('a suite', () => {
  it('is its tests', () => {
    const found = tally(1, report(1, 1, file('failed', 'passed', 'failed')));
    expect(summary(found)).toBe('1 passed, 1 failed, 1 skipped');
    expect(found.failures).toEqual(['unit: test/unit/a.test.ts: test 1']);
  });

  it('fails by a file that does not load, beside others that do', () => {
    const found = tally(1, report(2, 0, file('passed', 'passed', 'passed'), file('failed')));
    expect(summary(found)).toBe('2 passed, 1 failed, 1 skipped');
    expect(found.failures).toEqual(['unit: test/unit/a.test.ts: Cannot find module']);
  });

  it('fails by what broke outside of any test, such as a worker that ended', () => {
    const found = tally(1, report(2, 0, file('passed', 'passed', 'passed')));
    expect(summary(found)).toBe('2 passed, 1 failed, 1 skipped');
    expect(found.failures).toEqual(['unit: could not run: vitest ended with 1']);
  });

  it.each([
    ['left no report', undefined, 'vitest ended with 137'],
    ['left a part of one', '{"numPassedTests": 3, "testRes', 'vitest ended with 137, and its report is no whole one'],
    ['left another thing', '{}', 'vitest ended with 137, and its report is no whole one'],
    ['has no tests', report(0, 0).replace('"numPendingTests":1', '"numPendingTests":0'), 'it has no tests'],
  ])('fails that %s', (_, text, why) => {
    const found = tally(137, text);
    expect(summary(found)).toBe('0 passed, 1 failed');
    expect(found.failures).toEqual([`unit: could not run: ${why}`]);
  });

  it('counts besides others', () => {
    expect(summary(sum(tally(0, report(2, 0)), tally(9, undefined)))).toBe('2 passed, 1 failed, 1 skipped');
  });
});
