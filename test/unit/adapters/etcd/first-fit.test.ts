import { expect, test } from 'vitest';
import { firstFit } from '../../../../src/adapters/etcd/first-fit.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

/** Candidates that are fit, or fail, after so many milliseconds. */
function search(
  candidates: readonly (readonly [name: string, ms: number, isFit: boolean])[],
  isWorthIt: (() => boolean) | undefined = undefined,
) {
  const clock = new VirtualClock();
  const [begun, aborted, discarded]: string[][] = [[], [], []];
  const mended = new Set<string>();
  let outcome: unknown;
  const attempt = async ([name, ms, isFit]: (typeof candidates)[number], signal: AbortSignal) => {
    begun!.push(name);
    signal.addEventListener('abort', () => aborted!.push(name));
    await clock.sleep(ms);
    if (!isFit && !mended.has(name)) throw new Error(name);
    return name;
  };
  firstFit({ clock, headStartMs: 300, againMs: 500, ...(isWorthIt && { isWorthIt }) }, candidates, attempt, (late) =>
    discarded!.push(late),
  ).then(
    (fit) => {
      outcome = fit;
    },
    (error: AggregateError) => {
      outcome = error.errors.map(({ message }) => message);
    },
  );
  return { clock, begun, aborted, discarded, mended, outcome: () => outcome };
}

test('the others are left alone while the first is well', async () => {
  const { clock, begun, outcome } = search([
    ['a', 200, true],
    ['b', 0, true],
  ]);
  await clock.advance(1_000);
  expect(outcome()).toBe('a');
  expect(begun).toEqual(['a']);
});

test('one that is silent costs a head start, and what it says later is discarded', async () => {
  const { clock, begun, aborted, discarded, outcome } = search([
    ['a', 3_000, true],
    ['b', 100, true],
    ['c', 0, true],
  ]);
  await clock.advance(400);
  expect(outcome()).toBe('b');
  expect(begun).toEqual(['a', 'b']);
  expect(aborted).toContain('a');
  await clock.advance(3_000);
  expect(discarded).toEqual(['a']);
});

test('one that fails costs nothing', async () => {
  const { clock, outcome } = search([
    ['a', 0, false],
    ['b', 0, false],
    ['c', 10, true],
  ]);
  await clock.advance(10);
  expect(outcome()).toBe('c');
});

test('when none is fit all that was wrong is told', async () => {
  const { clock, outcome } = search([
    ['a', 1_000, false],
    ['b', 0, false],
  ]);
  await clock.advance(999);
  expect(outcome()).toBeUndefined();
  await clock.advance(1);
  expect(outcome()).toEqual(['b', 'a']);
});

test('one that failed is tried again while another one is silent', async () => {
  const { clock, mended, outcome } = search([
    ['silent', 3_000, false],
    ['a', 10, false],
  ]);
  await clock.advance(700);
  mended.add('a');
  expect(outcome()).toBeUndefined();
  await clock.advance(200);
  expect(outcome()).toBe('a');
});

test('while it is worth it those that all failed are tried again', async () => {
  const candidates = [
    ['a', 0, false],
    ['b', 10, false],
  ] as const;
  let isWorthIt = true;
  const { clock, mended, outcome } = search(candidates, () => isWorthIt);
  const given = search(candidates, () => false);
  await clock.advance(2_000);
  await given.clock.advance(10);
  expect([outcome(), given.outcome()]).toEqual([undefined, ['a', 'b']]);
  mended.add('b');
  await clock.advance(500);
  expect(outcome()).toBe('b');
  const late = search(candidates, () => isWorthIt);
  await late.clock.advance(2_000);
  isWorthIt = false;
  await late.clock.advance(500);
  expect(late.outcome()).toEqual(['a', 'b']);
});
