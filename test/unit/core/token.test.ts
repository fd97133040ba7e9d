import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createToken, formatToken, matchesSecret, parseToken } from '../../../src/core/token.ts';

const random = { hex: (bytes: number) => randomBytes(bytes).toString('hex') };
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const text = formatToken(createToken(sha256('ca'), random));

test('what is formatted is parsed back, whatever the digest', () => {
  const digests = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
  fc.assert(
    fc.property(fc.oneof(digests, fc.constantFrom('0'.repeat(64), 'f'.repeat(64))), (digest) => {
      const token = createToken(digest, random);
      expect(parseToken(` ${formatToken(token)}\n`)).toEqual(token);
    }),
    { numRuns: 50 },
  );
});

test('the text carries the whole digest, an id of 8 characters and a secret of at least 128 bits', () => {
  expect(text).toMatch(/^OVLTKN-1-[0-9a-z]{50}-[0-9a-z]{8}-[0-9a-z]{31}$/);
  expect(31 * Math.log2(36)).toBeGreaterThan(128);
});

test.each([
  ['', /empty/],
  [`${text.slice(0, 40)}\n${text.slice(40)}`, /spaces or line breaks/],
  [text.replace('OVLTKN', 'SWMTKN'), /Docker Swarm token/],
  [text.slice(3), /does not start with OVLTKN-/],
  ['OVLTKN', /version is missing/],
  [text.replace('-1-', '-2-'), /version 2 .* version 1; upgrade/],
  [text.slice(0, -7), /cut short: 7 characters are missing/],
  [`${text}zz`, /2 characters too many/],
  [text.replace(/.$/, '!'), /do not belong/],
  [`${text.slice(0, 20)}-${text.slice(21)}`, /do not belong/],
  [`OVLTKN-1-${'z'.repeat(50)}${text.slice(59)}`, /out of range/],
])('a token pasted as %j is refused with the cause', (pasted, problem) => {
  expect(() => parseToken(pasted)).toThrow(problem);
  expect(() => parseToken(pasted)).toThrow(expect.objectContaining({ code: 'token-invalid' }));
});

test('the message never repeats the secret', () => {
  try {
    parseToken(`${text}zz`);
  } catch (error) {
    expect(String(error)).not.toContain(parseToken(text).secret);
  }
});

test('a secret is known by its hash', () => {
  const { id, secret } = parseToken(text);
  const record = { id, secretHash: sha256(secret), role: 'member', createdAt: 0, createdBy: 'n1' } as const;
  expect(matchesSecret(record, secret, sha256)).toBe(true);
  expect(matchesSecret(record, `${secret.slice(0, -1)}!`, sha256)).toBe(false);
  expect(matchesSecret({ ...record, secretHash: '' }, secret, sha256)).toBe(false);
});
