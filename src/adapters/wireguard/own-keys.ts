/** This host's keys: how they are made, and what of `wireguard.json` is one. */
import type { KeyPair, OwnKey, OwnKeys } from '../../core/wireguard/own-keys.ts';
import { WIREGUARD_DEVICES } from '../../core/wireguard/state.ts';
import { generatePrivateKey, publicKeyOf } from './keys.ts';

export function makeKeyPair(): KeyPair {
  const privateKey = generatePrivateKey();
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}

/** Throws with what is wrong. */
export function parseOwnKeys(value: unknown): OwnKeys {
  const { nodeId, keys } = (value ?? {}) as Partial<OwnKeys>;
  if (typeof nodeId !== 'string') throw new Error('it does not say whose the keys are');
  if (!Array.isArray(keys) || keys.length < 1 || keys.length > 2) throw new Error('it has no keys, or too many');
  if (!keys.every(isKey)) throw new Error('a key in it is not whole, or its halves do not belong together');
  if (new Set(keys.map(({ device }) => device)).size < keys.length) throw new Error('two keys in it are of one device');
  return { nodeId, keys };
}

function isKey(value: unknown): value is OwnKey {
  const { createdAt, device, number, privateKey, publicKey } = (value ?? {}) as Partial<OwnKey>;
  return (
    WIREGUARD_DEVICES.some((name) => name === device) &&
    typeof privateKey === 'string' &&
    publicKeyOf(privateKey) === publicKey &&
    typeof createdAt === 'number' &&
    (number === undefined || Number.isInteger(number))
  );
}
