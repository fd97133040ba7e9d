import { expect, test } from 'vitest';
import { mendHosts } from '../../../../src/core/engine/hosts-file.ts';

const HEAD = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n';
const overwrite = (text: string, addresses: readonly string[], areAll = true) => {
  let mended = text;
  for (const { offset, before, after } of mendHosts(text, { addresses: new Set(addresses), areAll })) {
    expect(mended.slice(offset, offset + after.length)).toBe(before);
    mended = mended.slice(0, offset) + after + mended.slice(offset + after.length);
  }
  return mended;
};

test('the addresses of the container are put right, at the same length and with what follows them', () => {
  const text = `${HEAD}::ffff:10.0.0.3\tapi\n::ffff:10.9.0.14\tapi\n`;
  expect(overwrite(text, ['10.0.0.3', '10.9.0.14'])).toBe(`${HEAD}10.0.0.3       \tapi\n10.9.0.14       \tapi\n`);
});

test('an address that was put right becomes a comment when the container has it no more', () => {
  const text = `${HEAD}10.0.0.3       \tapi\n10.9.0.14       \tapi\n10.8.0.1\tapi\n`;
  expect(overwrite(text, ['10.9.0.14'], false)).toBe(text);
  expect(overwrite(text, ['10.9.0.14'])).toBe(`${HEAD}#0.0.0.3       \tapi\n10.9.0.14       \tapi\n10.8.0.1\tapi\n`);
});

test.each([
  ['another address', '::ffff:10.0.0.33\tapi\n'],
  ['what is right', '10.0.0.3\tapi\n'],
  ['what is behind a name', 'x ::ffff:10.0.0.3\tapi\n'],
  ['a comment', '#::ffff:10.0.0.3\tapi\n'],
  ['half an address', '::ffff:10.0.0.3'],
])('%s is left alone', (_, text) => {
  expect(overwrite(HEAD + text, ['10.0.0.3'])).toBe(HEAD + text);
});
