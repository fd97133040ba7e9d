import { expect, test } from 'vitest';
import { holdingBack, levelOf, nextLevel, requireLevel, speaks } from '../../../src/core/levels.ts';
import type { ClusterRecord, LevelRange, NodeRecord } from '../../../src/core/records.ts';

const cluster = (level?: number) => ({ ...(level !== undefined && { level }) }) as ClusterRecord;
const node = (name: string, levels?: LevelRange, left = false) =>
  ({ name, left, ...(levels && { levels }) }) as NodeRecord;
const names = (level: number, nodes: NodeRecord[]) => holdingBack(level, nodes).map(({ name }) => name);

const FIRST = { from: 1, to: 1 };
const BOTH = { from: 1, to: 2 };
const LATER = { from: 2, to: 4 };

test('what says nothing of levels is at the first', () => {
  expect(levelOf(undefined)).toBe(1);
  expect(levelOf(cluster())).toBe(1);
  expect(nextLevel(cluster(), [node('a'), node('b', BOTH)])).toBeUndefined();
  expect(names(1, [node('a'), node('b', BOTH)])).toEqual(['a']);
});

test.each<[number, (LevelRange | undefined)[], number | undefined, string[]]>([
  [1, [FIRST, FIRST], undefined, []],
  [1, [BOTH, FIRST], undefined, ['1']],
  [1, [BOTH, BOTH], 2, []],
  [2, [BOTH, LATER], undefined, ['0']],
  [2, [LATER, LATER], 3, []],
  [4, [LATER, LATER], undefined, []],
  // A gap: nobody speaks the one in between and the present one.
  [1, [FIRST, { from: 3, to: 4 }], undefined, ['0']],
  [1, [], undefined, []],
])('of level %i and members that speak %o the next is %s', (level, ranges, next, behind) => {
  const nodes = ranges.map((levels, index) => node(String(index), levels));
  expect(nextLevel(cluster(level), nodes)).toBe(next);
  expect(names(level, nodes)).toEqual(behind);
  // Who has left does not count.
  expect(nextLevel(cluster(level), [...nodes, node('gone', FIRST, true)])).toBe(next);
  expect(names(level, [...nodes, node('gone', LATER, true), node('gone', FIRST, true)])).toEqual(behind);
});

test('the members that hold it back are told in the order of names, however they came to be known', () => {
  const nodes = [node('c'), node('a'), node('b', BOTH)];
  expect(names(1, nodes)).toEqual(['a', 'c']);
  expect(() => requireLevel(2, 1, nodes, 'networks')).toThrow(/upgrade it on a \(.*\), c \(/);
});

test('a range holds its ends and what is between', () => {
  expect([0, 1, 2, 3, 4, 5].filter((level) => speaks(LATER, level))).toEqual([2, 3, 4]);
});

test('what needs a level is refused below it, with the members that are too old', () => {
  const refusal = (spoken: number, nodes: NodeRecord[]) => {
    try {
      return requireLevel(2, spoken, nodes, 'networks with IPv6');
    } catch (error) {
      return error;
    }
  };
  const older = [node('a'), { ...node('b', FIRST), version: '0.1.0' }, node('c', BOTH), node('gone', FIRST, true)];
  expect(refusal(2, older)).toBeUndefined();
  expect(refusal(1, older)).toMatchObject({
    code: 'version-mismatch',
    message: expect.stringMatching(
      /^networks with IPv6 need .* level 2 .* upgrade it on a \(an older one\), b \(0\.1\.0\), or/,
    ),
  });
  expect(refusal(1, [node('c', BOTH)])).toMatchObject({ code: 'conflict', retryable: true });
});
