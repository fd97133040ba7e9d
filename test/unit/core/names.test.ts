import { describe, expect, it } from 'vitest';
import { isDnsName } from '../../../src/core/names.ts';

describe('a name for the DNS', () => {
  const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;

  it.each(['api', 'my.app', 'db.example.com', 'A_1-x', '-x-', '1', 'a'.repeat(63), longest])('may be %s', (name) => {
    expect(isDnsName(name)).toBe(true);
  });

  it.each(['', '.', 'a.', '.a', 'a..b', 'a b', 'ä', 'a/b', 'a\n', 'a'.repeat(64), `${longest}d`])(
    'is not %j',
    (name) => {
      expect(isDnsName(name)).toBe(false);
    },
  );
});
