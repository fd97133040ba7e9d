import { expect, it } from 'vitest';
import { checkLabels } from '../../../src/core/labels.ts';

it('takes what fits, whatever is in the values', () => {
  const labels = { team: 'a', 'com.example/x y': 'two\nlines', empty: '' };
  expect(checkLabels(labels, 'network')).toBe(labels);
  expect(checkLabels({ big: 'x'.repeat(2_045) }, 'node')).toBeDefined();
});

it.each([
  ['node', { big: 'x'.repeat(2_046) }, 'a node has at most 32 labels of 2,048 characters together'],
  ['network', { big: 'x'.repeat(8_190) }, 'a network has at most 64 labels of 8,192 characters together'],
  ['node', Object.fromEntries(Array.from({ length: 33 }, (_, nth) => [`k${nth}`, ''])), 'at most 32 labels'],
  ['endpoint', { '': 'x' }, 'the key is missing; write it like team=web'],
  ['network', { '\x1b[31mred': '' }, 'the key "\\u001b[31mred" has control characters'],
] as const)('refuses of a %s what does not: %j', (of, labels, why) => {
  expect(() => checkLabels(labels, of)).toThrow(why);
});
