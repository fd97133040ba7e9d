import { expect, test } from 'vitest';
import { type CertificatesRecord, revokedAll, revokedSerials, withIssuedOne } from '../../../src/core/issued.ts';

const DAY_MS = 86_400_000;
const at = (serial: string, days: number) => ({ serial, notAfter: days * DAY_MS });

test('a certificate is noted once, and forgotten when it has long run out', () => {
  const first = withIssuedOne(undefined, at('a1', 90), 0);
  expect(first).toEqual({ issued: [at('a1', 90)] });
  expect(withIssuedOne(first, at('a1', 90), 0)).toBe(first);
  const second = withIssuedOne(first, at('b2', 150), 60 * DAY_MS);
  expect(second.issued.map(({ serial }) => serial)).toEqual(['a1', 'b2']);
  // By a clock that is behind it may be good for a while.
  expect(withIssuedOne(second, at('c3', 200), 119 * DAY_MS).issued).toHaveLength(3);
  expect(withIssuedOne(second, at('c3', 200), 121 * DAY_MS).issued.map(({ serial }) => serial)).toEqual(['b2', 'c3']);
});

test('all that a node has is revoked, and what it gets later is not', () => {
  const held: CertificatesRecord = { issued: [at('a1', 90), at('b2', 150)] };
  const revoked = revokedAll(held, 0)!;
  expect(revokedAll(revoked, 0)).toBe(revoked);
  const again = withIssuedOne(revoked, at('c3', 160), 0);
  const other: CertificatesRecord = { issued: [at('d4', 90)] };
  expect(revokedSerials([again, other, revokedAll(other, 0)!], 0)).toEqual(['a1', 'b2', 'd4']);
  expect(revokedSerials([again], 121 * DAY_MS)).toEqual(['b2']);
  expect(revokedAll(held, 1000 * DAY_MS)).toBeUndefined();
});

test('what a newer version wrote stays', () => {
  const held: CertificatesRecord & { more: number } = {
    issued: [Object.assign(at('a1', 90), { why: 'x' })],
    more: 1,
  };
  expect(revokedAll(withIssuedOne(held, at('b2', 90), 0), 0)).toEqual({
    issued: [
      { ...at('a1', 90), why: 'x', revoked: true },
      { ...at('b2', 90), revoked: true },
    ],
    more: 1,
  });
});
