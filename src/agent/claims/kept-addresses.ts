/** What a network keeps for names, given back by hand: see `core/ipam/kept.ts`. */
import { OverlaydError } from '../../core/errors.ts';
import { canonicalIp } from '../../core/ip.ts';
import { forNobody, isSameName, type Kept, keptOn } from '../../core/ipam/kept.ts';
import { decodeQuarantine } from '../../core/record-codec.ts';
import { keys, type NetworkRecord, type QuarantineRecord } from '../../core/records.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, Compare, StoreEntry } from '../../ports/store.ts';
import { type Change, type Commit, unchanged } from '../view/commit.ts';

export interface KeptAddressesDeps {
  readonly store: Pick<ClusterStore, 'list' | 'grantLease'>;
  readonly commit: Commit;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Pick<Logger, 'info'>;
}

/** A quarantine as it was found; `record` is undefined where there is none any more. */
interface Resting {
  readonly key: string;
  readonly entry: { readonly revision: number } | undefined;
  readonly record: QuarantineRecord | undefined;
}

/** For the transaction from which on what rests there is kept for nobody. */
export async function lettingGo(
  { clock, store }: Pick<KeptAddressesDeps, 'clock'> & { readonly store: Pick<ClusterStore, 'grantLease'> },
  found: readonly Resting[],
  quarantineSeconds: number,
): Promise<{ readonly compares: readonly Compare[]; readonly changes: readonly Change[] }> {
  const now = clock.now();
  const changes = found.map(async ({ key, record }): Promise<Change> => {
    const rest = record && forNobody(record, now, quarantineSeconds);
    if (!rest) return { kind: 'delete', key };
    return { kind: 'put', key, record: rest, lease: await store.grantLease(quarantineSeconds) };
  });
  return { compares: found.map(({ key, entry }) => unchanged(key, entry)), changes: await Promise.all(changes) };
}

const ATTEMPTS = 16;
const SHOWN = 5;

/**
 * `ref`: a name, all of which is given back, or one of the addresses that are kept for it. Returns what was kept. Throws
 * `name-not-found`, `conflict`, `store-unavailable`.
 */
export async function releaseKept(
  deps: KeptAddressesDeps,
  network: NetworkRecord,
  ref: string,
  options: { readonly quarantineSeconds: number },
): Promise<Kept[]> {
  const released: Kept[] = [];
  const address = canonicalIp(ref) ?? ref;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await read(deps, network);
    const kept = keptOn(new Map([...found].map(([address, { record }]) => [address, record])));
    const meant = kept.filter(({ name, addresses }) => isSameName(name, ref) || addresses.includes(address));
    if (meant.length === 0 && released.length === 0) throw nothingKept(network, ref, kept);
    const done = await Promise.all(meant.map((each) => giveBack(deps, network, each, found, options)));
    released.push(...meant.filter((_, at) => done[at]));
    if (done.every((each) => each)) return released;
  }
  throw new OverlaydError('conflict', `what is kept for ${ref} on network ${network.name} changes at once; try again`, {
    retryable: true,
  });
}

interface Found {
  readonly entry: StoreEntry;
  readonly record: QuarantineRecord;
}

/** By address. What cannot be read is left alone. */
async function read({ store }: KeptAddressesDeps, { id }: NetworkRecord): Promise<ReadonlyMap<string, Found>> {
  const prefix = keys.quarantineOn(id);
  const { entries } = await store.list(prefix);
  return new Map(
    entries.flatMap((entry) => {
      const record = decodeQuarantine(entry.value);
      return record ? [[entry.key.slice(prefix.length), { entry, record }] as const] : [];
    }),
  );
}

/** Whole, or not at all: then it was not as found any more. */
async function giveBack(
  { clock, commit, logger, store }: KeptAddressesDeps,
  network: NetworkRecord,
  { name, addresses }: Kept,
  found: ReadonlyMap<string, Found>,
  { quarantineSeconds }: { readonly quarantineSeconds: number },
): Promise<boolean> {
  const entries = addresses.map((address) => found.get(address)!);
  const { compares, changes } = await lettingGo(
    { clock, store },
    entries.map(({ entry, record }) => ({ key: entry.key, entry, record })),
    quarantineSeconds,
  );
  const committed = await commit(compares, changes);
  if (!committed) return false;
  await committed.told;
  logger.info({ network: network.name, endpoint: name, addresses }, 'addresses are kept for a name no more');
  return true;
}

function nothingKept({ name }: NetworkRecord, ref: string, kept: readonly Kept[]): OverlaydError {
  const names = [...new Set(kept.map((each) => each.name))];
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  const there =
    names.length === 0
      ? 'it keeps none; `-o sticky=true` makes a network that does'
      : `it keeps some for ${names.slice(0, SHOWN).join(', ')}${more}`;
  return new OverlaydError('name-not-found', `network ${name} keeps no address for ${ref}: ${there}`);
}
