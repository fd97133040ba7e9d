/**
 * The keys of this host, as `wireguard.json` has them. The file says which keys there are and in which order, the node's
 * record follows it: the first is the one that others send to; a second one is there while a key is exchanged, and is newer as long
 * as it is coming, older once it goes. Pure.
 */
import type { WireguardKey, WireguardOffer } from '../records.ts';
import { WIREGUARD_DEVICES, WIREGUARD_NUMBERS, type WireguardDeviceName } from './state.ts';

/** Base64 of 32 bytes each (X25519, RFC 7748). */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

export interface OwnKey extends KeyPair {
  /** Which device has it, for all of its life. */
  readonly device: WireguardDeviceName;
  /** Undefined: none was claimed yet. */
  readonly number?: number;
  /** By the wall clock. */
  readonly createdAt: number;
}

export interface OwnKeys {
  /** Of another node's file nothing is used. */
  readonly nodeId: string;
  /** One or two. */
  readonly keys: readonly OwnKey[];
}

/** A key that is usable: it has a number. */
export type ClaimedKey = OwnKey & { readonly number: number };

export function claimedKeys(keys: readonly OwnKey[]): readonly ClaimedKey[] {
  return keys.filter((key): key is ClaimedKey => key.number !== undefined);
}

/** The devices have a port each, the first `base`, the second the next one. */
export function portOf({ device }: Pick<OwnKey, 'device'>, base: number): number {
  return base + WIREGUARD_DEVICES.indexOf(device);
}

/** The key that comes while the first one is still sent to; undefined: none does. */
export function comingKey(keys: readonly OwnKey[]): OwnKey | undefined {
  const [first, second] = keys;
  return first && second && second.createdAt >= first.createdAt ? second : undefined;
}

/** The key that goes; undefined: none does. */
export function goingKey(keys: readonly OwnKey[]): OwnKey | undefined {
  return comingKey(keys) ? undefined : keys[1];
}

/** The device that a next key gets. */
export function freeDevice(keys: readonly OwnKey[]): WireguardDeviceName | undefined {
  return WIREGUARD_DEVICES.find((name) => !keys.some(({ device }) => device === name));
}

export interface OfferInput {
  readonly keys: readonly OwnKey[];
  /** What the node's record has; what another version wrote into it stays. */
  readonly current: WireguardOffer | undefined;
  readonly backend: WireguardOffer['backend'];
  readonly basePort: number;
  /** Whether somebody else has the number. */
  readonly isTaken: (number: number) => boolean;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
}

/**
 * What the record should say. A key keeps its number unless that is another node's by now; one without gets the one that the record
 * has for it, or one by chance, so that one that was given back is not another's in the next moment.
 */
export function offerOf({ keys, current, backend, basePort, isTaken, chance }: OfferInput): WireguardOffer {
  const chosen = new Set<number>();
  const numberFor = (key: OwnKey, published: WireguardKey | undefined): number => {
    const known = key.number ?? published?.number;
    if (known !== undefined && !isTaken(known) && !chosen.has(known)) return known;
    return freeNumber((number) => chosen.has(number) || isTaken(number), chance);
  };
  const offered = keys.map((key): WireguardKey => {
    const published = current?.keys.find(({ publicKey }) => publicKey === key.publicKey);
    const number = numberFor(key, published);
    chosen.add(number);
    return { ...published, publicKey: key.publicKey, number, port: portOf(key, basePort) };
  });
  return { ...current, backend, keys: offered };
}

function freeNumber(isTaken: (number: number) => boolean, chance: () => number): number {
  const [first, last] = WIREGUARD_NUMBERS;
  const count = last - first + 1;
  const start = Math.floor(chance() * count);
  for (let step = 0; step < count; step++) {
    const number = first + ((start + step) % count);
    if (!isTaken(number)) return number;
  }
  // More keys than numbers: a cluster of tens of thousands of hosts. The claim will fail, and says so.
  return first;
}
