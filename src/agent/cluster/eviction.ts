/**
 * Takes everything away that a node owns, from any other node and without its help. Marked first, so that members stop
 * answering it and sending to it, and its claims fail: they compare the revision of its record. Then etcd refuses it
 * everything. Then its endpoints in chunks until a listing that began after the mark has none, their addresses into hard quarantine, because what runs
 * there may still use them, kept for their names where the network keeps addresses; its own records last, and only if
 * nothing has touched the mark. Each step can be repeated after a crash.
 */
import { keptRecord } from '../../core/ipam/kept.ts';
import { decodeClaim, decodeEndpoint, decodeNetwork, decodeNode } from '../../core/record-codec.ts';
import {
  type EndpointRecord,
  keys,
  type NetworkRecord,
  type NodeRecord,
  type QuarantineRecord,
} from '../../core/records.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { ClusterStore, StoreEntry } from '../../ports/store.ts';
import { releaseMac } from '../claims/mac-claims.ts';
import type { Change, Commit } from '../view/commit.ts';
import { numbersOf } from './key-numbers.ts';

/** What nodes may do in etcd. Both may be called again; nothing happens where nobody is asked who he is. */
export interface NodeUsers {
  /** Before it is told that it is a member. */
  admit(node: Pick<NodeRecord, 'id' | 'name'>): Promise<void>;
  /** From then on etcd refuses it everything. */
  revoke(nodeId: string): Promise<void>;
}

export interface EvictionDeps {
  /** Absent: of a node that goes by itself. */
  readonly users?: Pick<NodeUsers, 'revoke'> | undefined;
  readonly store: Pick<ClusterStore, 'get' | 'list' | 'grantLease'>;
  readonly commit: Commit;
  readonly clock: Pick<Clock, 'now'>;
}

export interface EvictionOptions {
  /** Node id of who evicts. */
  readonly by: string;
  readonly quarantineSeconds: number;
}

/** What a transaction takes. */
const MOST_CHANGES = 128;

/** Returns how many endpoints were removed. Does nothing to a node that is gone but remove what it left behind. */
export async function evictNode(deps: EvictionDeps, nodeId: string, options: EvictionOptions): Promise<number> {
  let removed = 0;
  for (;;) {
    const marked = await markLeft(deps, nodeId, { removed: true });
    await deps.users?.revoke(nodeId);
    removed += await evictEndpoints(deps, nodeId, options);
    if (marked === undefined || (await removeRecords(deps, nodeId, marked))) return removed;
  }
}

/**
 * The node stays listed, as down; members treat it as none. With `removed` it can tell that it did not go by itself. Returns the revision of its record, from which on it claims
 * nothing; undefined when there is no such node.
 */
export async function markLeft(
  { commit, store }: Pick<EvictionDeps, 'commit' | 'store'>,
  nodeId: string,
  how: Pick<NodeRecord, 'removed'> = {},
): Promise<number | undefined> {
  const key = keys.node(nodeId);
  for (;;) {
    const entry = await store.get(key);
    const record = entry && decodeNode(entry.value);
    // One that cannot be read is no member's, and goes like a marked one.
    if (entry === undefined || record === undefined || record.left) return entry?.revision;
    // Its keys go at once: nobody is to be reached with them from now on.
    const { wireguard: _, ...rest } = record;
    const numbers = await numbersOf(store, nodeId);
    const committed = await commit(
      [{ kind: 'revision', key, revision: entry.revision }],
      [
        { kind: 'put', key, record: { ...rest, ...how, left: true } satisfies NodeRecord },
        { kind: 'delete', key: keys.live(nodeId) },
        ...numbers.map((number) => ({ kind: 'delete', key: number.key }) as const),
      ],
    );
    if (committed) return committed.revision;
  }
}

export async function evictEndpoints(deps: EvictionDeps, nodeId: string, options: EvictionOptions): Promise<number> {
  let removed = 0;
  for (;;) {
    const owned = await holdingsOf(deps.store, nodeId);
    if (owned.length === 0) return removed;
    const networks = await networksOf(deps.store, owned);
    const lease = await deps.store.grantLease(options.quarantineSeconds);
    const released: QuarantineRecord = { releasedAt: deps.clock.now(), by: options.by, clean: false };
    for (const chunk of chunksOf(owned)) {
      const entries = chunk.flatMap(({ endpoint, claims }) => [...(endpoint ? [endpoint.entry] : []), ...claims]);
      const changes = chunk.flatMap(({ endpoint, claims }): Change[] => [
        ...(endpoint?.record ? releaseMac(endpoint.record) : []),
        ...claims.map(({ key }) => {
          const [networkId, ip] = placeOf(key);
          const kept = keptRecord(endpoint?.record, released, options.quarantineSeconds);
          // Of a subnet that a restored etcd lacks nobody is given anything: it would be kept for ever.
          const hold = kept && isPlaceOf(networks.get(networkId), ip) ? { record: kept } : { record: released, lease };
          return { kind: 'put', key: keys.quarantine(networkId, ip), ...hold } as const;
        }),
      ]);
      // One that changed meanwhile fails its chunk; the next round takes it up again.
      const committed = await deps.commit(
        entries.map(({ key, revision }) => ({ kind: 'revision', key, revision })),
        [...entries.map(({ key }) => ({ kind: 'delete', key }) as const), ...changes],
      );
      if (committed) removed += chunk.length;
    }
  }
}

/** What etcd has of one endpoint: its record, the claims of its addresses, or what is left of them. */
interface Holding {
  readonly endpoint?: { readonly entry: StoreEntry; readonly record: EndpointRecord | undefined };
  readonly claims: readonly StoreEntry[];
}

async function holdingsOf(store: EvictionDeps['store'], nodeId: string): Promise<Holding[]> {
  const endpoints = await store.list(keys.endpointsOf(nodeId));
  const addresses = await store.list(keys.addresses);
  const claims = Map.groupBy(
    addresses.entries.filter(({ value }) => decodeClaim(value)?.nodeId === nodeId),
    ({ value }) => decodeClaim(value)!.endpointId,
  );
  const holdings = endpoints.entries.map((entry): Holding => {
    const id = entry.key.slice(keys.endpointsOf(nodeId).length);
    const own = claims.get(id) ?? [];
    claims.delete(id);
    return { endpoint: { entry, record: decodeEndpoint(entry.value) }, claims: own };
  });
  return [...holdings, ...[...claims.values()].map((left): Holding => ({ claims: left }))];
}

/** By id, those whose addresses they have; `unreadable`: a newer version wrote it. One that etcd lacks is not among them. */
async function networksOf(
  store: EvictionDeps['store'],
  holdings: readonly Holding[],
): Promise<ReadonlyMap<string, NetworkRecord | 'unreadable'>> {
  const ids = new Set(holdings.flatMap(({ claims }) => claims.map(({ key }) => placeOf(key)[0])));
  const entries = await Promise.all([...ids].map((id) => store.get(keys.network(id))));
  const found = entries.filter((entry) => entry !== undefined);
  return new Map(
    found.map(({ key, value }) => [key.slice(keys.network('').length), decodeNetwork(value) ?? 'unreadable']),
  );
}

function isPlaceOf(network: NetworkRecord | 'unreadable' | undefined, ip: string): boolean {
  return network === 'unreadable' || subnetWith(network?.subnets ?? [], ip) !== undefined;
}

/** So many that a transaction takes them: a record and its MAC, each claim and its quarantine. */
function chunksOf(holdings: readonly Holding[]): Holding[][] {
  const chunks: Holding[][] = [];
  let room = 0;
  for (const holding of holdings) {
    const size = 2 + 2 * holding.claims.length;
    if (size > room) {
      chunks.push([]);
      room = MOST_CHANGES;
    }
    chunks.at(-1)!.push(holding);
    room -= size;
  }
  return chunks;
}

/** Network and address of a claim's key. */
function placeOf(key: string): [networkId: string, ip: string] {
  const [networkId = '', ip = ''] = key.slice(keys.addresses.length).split('/');
  return [networkId, ip];
}

/** False when the node's record was written since it was marked: then endpoints may have been added as well. */
async function removeRecords({ commit, store }: EvictionDeps, nodeId: string, marked: number): Promise<boolean> {
  const key = keys.node(nodeId);
  const entry = await store.get(key);
  if (entry === undefined) return true;
  const name = decodeNode(entry.value)?.name;
  const nameKey = name === undefined ? undefined : keys.nodeName(name);
  const holdsName = nameKey !== undefined && (await store.get(nameKey))?.value === nodeId;
  // Of one whose record could not be read they are still there.
  const numbers = await numbersOf(store, nodeId);
  const committed = await commit(
    [{ kind: 'revision', key, revision: marked }],
    [
      { kind: 'delete', key },
      { kind: 'delete', key: keys.live(nodeId) },
      ...(holdsName ? [{ kind: 'delete', key: nameKey } as const] : []),
      ...numbers.map((number) => ({ kind: 'delete', key: number.key }) as const),
    ],
  );
  return committed !== undefined;
}
