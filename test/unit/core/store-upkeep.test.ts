import { expect, test } from 'vitest';
import { type MemberFile, planUpkeep } from '../../../src/core/store-upkeep.ts';

const MIB = 1024 ** 2;
const member = (
  id: string,
  bytes: number | undefined,
  bytesInUse = 0,
  parts: Partial<MemberFile> = {},
): MemberFile => ({
  ...{ id, own: id === 'a', votes: true, leads: false, isFull: false },
  file: bytes === undefined ? undefined : { bytes: bytes * MIB, bytesInUse: bytesInUse * MIB },
  ...parts,
});
const leads = { leads: true };
const full = { isFull: true };
const plan = (members: MemberFile[], compacted = false) => planUpkeep(members, { compacted, quotaBytes: 1024 * MIB });

test.each([
  ['little of much is free', [member('a', 900, 500, leads)], { kind: 'none' }],
  ['most of little is free', [member('a', 60, 1, leads)], { kind: 'none' }],
  ['most of much is free, and it is alone', [member('a', 200, 20, leads)], { kind: 'defragment' }],
  ['it follows', [member('a', 200, 20), member('b', 10, 9, leads), member('c', 10, 9)], { kind: 'defragment' }],
  ['it leads', [member('a', 200, 20, leads), member('b', 10, 9), member('c', 10, 9)], { kind: 'hand-over', to: 'b' }],
  ['a follower has the same to do', [member('a', 200, 20, leads), member('b', 200, 20)], { kind: 'none' }],
  ['one before it has', [member('0', 200, 20), member('a', 200, 20), member('b', 9, 9, leads)], { kind: 'none' }],
  ['one is silent', [member('a', 200, 20), member('b', undefined), member('c', 9, 9, leads)], { kind: 'none' }],
  [
    'only a learner is beside it',
    [member('a', 200, 20, leads), member('b', 9, 9, { votes: false })],
    { kind: 'defragment' },
  ],
  ['it has none', [member('b', 200, 20, leads)], { kind: 'none' }],
])('a file is put in order where it is worth it and nobody is kept waiting: %s', (_, members, step) => {
  expect(plan(members)).toEqual(step);
});

test('a member that is full: history goes, then the files shrink, then it takes writes again', () => {
  const others = [member('b', 1000, 300), member('c', 1000, 300)];
  expect(plan([member('a', 1020, 1010, { ...leads, ...full }), ...others])).toEqual({ kind: 'compact' });
  // Less than half is free, but it is needed.
  const shrunk = [member('b', 300, 300), member('c', 300, 300)];
  expect(plan([member('a', 1020, 800, { ...leads, ...full }), ...others], true)).toEqual({ kind: 'none' });
  expect(plan([member('a', 1020, 800, { ...leads, ...full }), ...shrunk], true)).toEqual({
    kind: 'hand-over',
    to: 'b',
  });
  expect(plan([member('a', 1020, 800, full), member('b', 300, 300, leads)], true)).toEqual({ kind: 'defragment' });
  expect(plan([member('a', 800, 800, { ...leads, ...full }), ...shrunk], true)).toEqual({ kind: 'disarm' });
  // No room was made: then writes would raise the alarm again at once.
  expect(plan([member('a', 1020, 1010, { ...leads, ...full }), ...shrunk], true)).toEqual({ kind: 'none' });
  // One that is away does not keep the others from it, but from writing.
  expect(plan([member('a', 1020, 300, { ...full }), member('b', undefined)], true)).toEqual({ kind: 'defragment' });
  expect(plan([member('a', 300, 300, { ...leads, ...full }), member('b', undefined)], true)).toEqual({ kind: 'none' });
});
