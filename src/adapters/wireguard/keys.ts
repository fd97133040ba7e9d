/** Keys of WireGuard: Curve25519 (RFC 7748), 32 bytes, base64 as `wg` prints them. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { OverlaydError } from '../../core/errors.ts';

const KEY_BYTES = 32;
/** What stands before the key in PKCS #8 (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');

export function generatePrivateKey(): string {
  const { privateKey } = generateKeyPairSync('x25519');
  return privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length).toString('base64');
}

export function publicKeyOf(privateKey: string): string {
  const der = Buffer.concat([PKCS8, keyBytes(privateKey)]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return key.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES).toString('base64');
}

/** Throws `internal` for what is no key: what comes in from outside was checked there. */
export function keyBytes(key: string): Buffer {
  const bytes = Buffer.from(key, 'base64');
  if (bytes.length === KEY_BYTES && bytes.toString('base64') === key) return bytes;
  throw new OverlaydError('internal', `a key of WireGuard has ${KEY_BYTES} bytes, as base64`);
}
