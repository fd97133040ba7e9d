/**
 * Join tokens: `OVLTKN-1-<CA digest>-<id>-<secret>`, the last three in base 36. The digest (SHA-256 of the CA
 * certificate, all 256 bits) lets the joiner authenticate the cluster before it says the secret (160 bits) of which
 * the cluster keeps a hash only. A token that was pasted badly is refused with what is wrong with it.
 */
import { OverlaydError } from './errors.ts';
import type { TokenRecord } from './records.ts';

export interface JoinToken {
  /** SHA-256 of the CA certificate (DER), lower-case hex. */
  readonly caDigest: string;
  readonly id: string;
  readonly secret: string;
}

const PREFIX = 'OVLTKN';
const VERSION = '1';
const DIGEST_LENGTH = 50;
const ID_LENGTH = 8;
const SECRET_LENGTH = 31;
const LENGTH = `${PREFIX}-${VERSION}-`.length + DIGEST_LENGTH + 1 + ID_LENGTH + 1 + SECRET_LENGTH;

export function createToken(caDigest: string, random: { hex(bytes: number): string }): JoinToken {
  return {
    caDigest,
    id: base36(random.hex(5), ID_LENGTH),
    secret: base36(random.hex(20), SECRET_LENGTH),
  };
}

export function formatToken(token: JoinToken): string {
  return `${PREFIX}-${VERSION}-${base36(token.caDigest, DIGEST_LENGTH)}-${token.id}-${token.secret}`;
}

/** Throws `token-invalid` saying what is wrong with the text; the text itself is never repeated. */
export function parseToken(text: string): JoinToken {
  const token = text.trim();
  if (token === '') throw invalid('the token is empty');
  if (/\s/.test(token))
    throw invalid('the token has spaces or line breaks inside, it was probably wrapped when copied');
  const [prefix, version, digest = '', id = '', secret = '', ...rest] = token.split('-');
  if (prefix === 'SWMTKN') throw invalid('this is a Docker Swarm token; overlayd tokens start with OVLTKN-');
  if (prefix !== PREFIX) throw invalid(`the token does not start with ${PREFIX}-, so its beginning is missing`);
  if (version !== VERSION && version !== undefined && /^\d+$/.test(version)) {
    throw invalid(`the token has version ${version} and this overlayd knows version ${VERSION}; upgrade this host`);
  }
  if (version !== VERSION) throw invalid(`the token's version is missing after ${PREFIX}-`);
  if (token.length < LENGTH) throw invalid(`the token is cut short: ${LENGTH - token.length} characters are missing`);
  if (token.length > LENGTH) throw invalid(`the token has ${token.length - LENGTH} characters too many`);
  const parts = [digest, id, secret];
  if (rest.length > 0 || !parts.every((part) => /^[0-9a-z]+$/.test(part)) || digest.length !== DIGEST_LENGTH) {
    throw invalid('the token has characters that do not belong there');
  }
  if (id.length !== ID_LENGTH) throw invalid('the token has characters that do not belong there');
  const caDigest = hex(digest);
  if (caDigest.length > 64) throw invalid('the digest in the token is out of range, so some characters were changed');
  return { caDigest, id, secret };
}

/** Whether the record is of this secret; takes the same time wherever they differ. */
export function matchesSecret(record: TokenRecord, secret: string, sha256: (text: string) => string): boolean {
  const hash = sha256(secret);
  let difference = hash.length ^ record.secretHash.length;
  for (let i = 0; i < hash.length; i++) difference |= hash.charCodeAt(i) ^ record.secretHash.charCodeAt(i);
  return difference === 0;
}

function invalid(problem: string): OverlaydError {
  return new OverlaydError(
    'token-invalid',
    `${problem}; copy the whole join line again, or make a new one with \`overlayd token create\` on a member`,
  );
}

function base36(hexText: string, length: number): string {
  return BigInt(`0x${hexText}`).toString(36).padStart(length, '0');
}

function hex(base36Text: string): string {
  let value = 0n;
  for (const character of base36Text) value = value * 36n + BigInt(Number.parseInt(character, 36));
  return value.toString(16).padStart(64, '0');
}
