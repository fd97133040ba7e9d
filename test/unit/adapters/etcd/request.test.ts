import { expect, test } from 'vitest';
import { encodePrefixEnd } from '../../../../src/adapters/etcd/request.ts';

test.each([
  ['/a/', '/a0'],
  ['a', 'b'],
  ['ü', 'ý'],
])('the range of prefix %s ends before %s', (prefix, end) => {
  expect(encodePrefixEnd(prefix).toString('utf8')).toBe(end);
});
