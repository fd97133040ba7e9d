import { expect, test } from 'vitest';
import { drawEpoch, isCredibleEpoch, isEpoch, isLaterEpoch, isOtherEpoch } from '../../../src/core/epoch.ts';

const random = { hex: (bytes: number) => 'ab'.repeat(bytes) };

test('an epoch is later than all that are known when it is drawn', () => {
  expect(drawEpoch(random)).toBe('1-abababababababab');
  expect(drawEpoch(random, undefined, '7-00000000000000e1', '3-00000000000000e1')).toBe('8-abababababababab');
  expect(isEpoch(drawEpoch(random, '99-00000000000000e1'))).toBe(true);
});

test('of two epochs the higher number is later, and of equal numbers neither', () => {
  expect(isLaterEpoch('10-00000000000000e1', '9-00000000000000e1')).toBe(true);
  expect(isLaterEpoch('9-00000000000000e2', '9-00000000000000e1')).toBe(false);
  expect(isLaterEpoch('1-00000000000000e1', undefined)).toBe(true);
  expect(isOtherEpoch('9-00000000000000e2', '9-00000000000000e1')).toBe(true);
  expect(isOtherEpoch(undefined, '9-00000000000000e1')).toBe(false);
});

test.each(['', '0-00000000000000e1', '1-e1', '1-00000000000000E1', '20000-00000000000000e1', '9'.repeat(300)])(
  'a member is not believed that it follows %j',
  (text) => expect(isCredibleEpoch(text, '3-00000000000000e1')).toBe(false),
);
