/** P-256 keys as PKCS #8 text, and their digests. */
import { createHash, createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';

/** In certificates of keepers alone: who the store is, and who lets hosts in. */
export const KEEPER_NAMES = ['join.overlayd', 'etcd.overlayd'] as const;

export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

type CryptoKey = webcrypto.CryptoKey;

export function spkiDigest(spki: Uint8Array | ArrayBuffer): string {
  return createHash('sha256').update(new Uint8Array(spki)).digest('hex');
}

export async function generateKeys() {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

export async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
}

export async function importKeys(key: string): Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }> {
  const secret = createPrivateKey(key);
  const { subtle } = webcrypto;
  const pkcs8 = secret.export({ type: 'pkcs8', format: 'der' });
  const spki = createPublicKey(secret).export({ type: 'spki', format: 'der' });
  return {
    privateKey: await subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']),
    publicKey: await subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
  };
}
