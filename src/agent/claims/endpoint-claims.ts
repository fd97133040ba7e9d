/**
 * What etcd holds of an endpoint: its record, and a claim for each of its addresses. All of them are written in one
 * transaction, and go in one. The claim is the truth about its address, which may be another endpoint's by now.
 */
import { isOf } from '../../core/address-holders.ts';
import { decodeClaim, decodeEndpoint } from '../../core/record-codec.ts';
import { type ClaimRecord, type EndpointRecord, keys } from '../../core/records.ts';
import type { ClusterStore, Compare, StoreEntry } from '../../ports/store.ts';
import { unchanged } from '../view/commit.ts';

/** A key as it was found. */
export interface Held {
  readonly key: string;
  readonly revision: number | undefined;
  /** Holds as long as it is as it was found. */
  readonly unchanged: Compare;
}

export interface HeldEndpoint extends Held {
  readonly networkId: string;
  /** Undefined when there is none, or none that can be read. */
  readonly record: EndpointRecord | undefined;
  readonly addresses: readonly HeldAddress[];
}

export interface HeldAddress extends Held {
  readonly ip: string;
  /** Whose claim it is. `unknown`: it cannot be read. */
  readonly holder: 'self' | 'other' | 'nobody' | 'unknown';
}

type Entry = Pick<StoreEntry, 'value' | 'revision'>;

/** All that is written of an endpoint, but for its MAC. */
export function endpointEntries(record: EndpointRecord): { readonly key: string; readonly record: object }[] {
  return [{ key: keys.endpoint(record), record }, ...record.addresses.map(({ ip }) => claimEntry(record, ip))];
}

export function claimEntry({ id, networkId, nodeId }: EndpointRecord, ip: string) {
  return { key: keys.address(networkId, ip), record: { endpointId: id, nodeId } satisfies ClaimRecord };
}

/** As known here. */
export function heldEndpoint(record: EndpointRecord, entryOf: (key: string) => Entry | undefined): HeldEndpoint {
  const key = keys.endpoint(record);
  const entry = entryOf(key);
  return {
    ...held(key, entry),
    networkId: record.networkId,
    record: entry && decodeEndpoint(entry.value),
    addresses: record.addresses.map(({ ip }) => {
      const claimKey = keys.address(record.networkId, ip);
      const claim = entryOf(claimKey);
      return { ...held(claimKey, claim), ip, holder: holderOf(claim, record) };
    }),
  };
}

/** As etcd has it now. */
export async function readEndpoint(store: Pick<ClusterStore, 'get'>, record: EndpointRecord): Promise<HeldEndpoint> {
  const all = endpointEntries(record).map(({ key }) => key);
  const entries = await Promise.all(all.map((key) => store.get(key)));
  const byKey = new Map(all.map((key, i) => [key, entries[i]]));
  return heldEndpoint(record, (key) => byKey.get(key));
}

function held(key: string, entry: Entry | undefined): Held {
  return { key, revision: entry?.revision, unchanged: unchanged(key, entry) };
}

function holderOf(entry: Entry | undefined, record: EndpointRecord): HeldAddress['holder'] {
  if (!entry) return 'nobody';
  const claim = decodeClaim(entry.value);
  if (!claim) return 'unknown';
  return isOf(claim, record) ? 'self' : 'other';
}
