/**
 * Compares the claims that etcd holds for this node with the endpoints that this node has, both ways. Only ever on a
 * whole view that etcd itself confirms: absence must be proved before anything is taken apart.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { LocalEndpoint } from '../../core/container.ts';
import { asOverlaydError } from '../../core/errors.ts';
import { SEED_REVISION } from '../../core/gossip/replica.ts';
import { encodeRecord, endpointWith } from '../../core/record-codec.ts';
import { addressList, type EndpointAddress, type EndpointRecord, keys } from '../../core/records.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { Containers } from '../../ports/host.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import { claimEntry, type HeldEndpoint, heldEndpoint } from '../claims/endpoint-claims.ts';
import { MacClaims } from '../claims/mac-claims.ts';
import type { Releases } from '../claims/releases.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Commit, unchanged } from '../view/commit.ts';
import type { Endpoints } from './endpoints.ts';
import type { LocalEndpoints } from './local-endpoints.ts';
import { unclaimed } from './own-holdings.ts';

export interface ClaimAuditDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly commit: Commit;
  readonly state: ClusterState;
  readonly local: LocalEndpoints;
  readonly releases: Releases;
  readonly logger: Logger;
  readonly drop: (endpoints: readonly LocalEndpoint[], reason: string) => Promise<void>;
}

export interface ClaimAuditOptions {
  readonly selfId: string;
  /** Whether this run of the agent made the claim: then it is no leftover. The wall clock, which may be set, cannot tell. */
  readonly isOfThisRun: (endpointId: string) => boolean;
}

/** Releases claims of an earlier run that never became endpoints, or had ceased to be. */
export async function releaseLeftovers(deps: ClaimAuditDeps, options: ClaimAuditOptions): Promise<void> {
  const { local, logger, releases, state } = deps;
  const isLeft = (id: string) =>
    !local.has(id) && !local.isFormer(id) && !options.isOfThisRun(id) && !releases.isPending(id);
  for (const record of [...state.view.endpointsOf(options.selfId).values()]) {
    if (!isLeft(record.id)) continue;
    logger.warn({ endpoint: record.name, address: addressList(record) }, 'claim without an endpoint released');
    await releases.release(record, true);
  }
  for (const record of claimsWithoutRecord(state.view, options.selfId)) {
    if (!isLeft(record.id)) continue;
    logger.warn({ endpoint: record.name, address: addressList(record) }, 'claim without a record released');
    await releases.release(record, true);
  }
}

/** Endpoints of the node of which somebody took the record away and left the claims, as far as can be known of them. */
function claimsWithoutRecord(view: ClusterView, nodeId: string): EndpointRecord[] {
  const found = new Map<string, EndpointRecord & { readonly addresses: EndpointAddress[] }>();
  for (const { id: networkId, subnets } of view.networks()) {
    for (const [ip, claim] of view.claims(networkId)) {
      const { endpointId: id } = claim;
      if (claim.nodeId !== nodeId || view.endpoint({ nodeId, id })) continue;
      const known = found.get(id) ?? { ...bare(id, networkId, nodeId), addresses: [] };
      known.addresses.push({ subnet: (subnetWith(subnets, ip) ?? subnets[0]!).cidr, ip });
      found.set(id, known);
    }
  }
  return [...found.values()];
}

function bare(id: string, networkId: string, nodeId: string): EndpointRecord {
  return { id, networkId, nodeId, addresses: [], mac: '', name: id.slice(0, 12), aliases: [], createdAt: 0 };
}

export interface EndedDeps extends Pick<ClaimAuditDeps, 'local' | 'logger' | 'releases'> {
  readonly endpoints: Pick<Endpoints, 'configureResolver'>;
  readonly containers: Pick<Containers, 'withResolver'>;
}

/** What ended with the host and comes back by nobody's doing. Does not wait for etcd. */
export async function releaseEnded(
  { containers, endpoints, local, logger, releases }: EndedDeps,
  ended: readonly LocalEndpoint[],
): Promise<void> {
  if (ended.length > 0) logger.info({ endpoints: ended.length }, 'host was restarted: its endpoints are released');
  // What they were connected for is gone, and a new namespace of that name would be sent to a gateway it does not reach.
  // Of one that was connected right before a power loss nothing but its file tells.
  const known = new Set(local.all().map(({ container }) => container.text));
  const strays = local.unreadable === undefined ? await containers.withResolver() : [];
  const unknown = strays.filter(({ text }) => !known.has(text));
  const resolvers = [...ended.map(({ container }) => container), ...unknown].map((each) =>
    endpoints.configureResolver(each),
  );
  const stale = (await Promise.allSettled(resolvers)).find((result) => result.status === 'rejected');
  if (stale) logger.warn({ error: stale.reason }, 'a resolver file of before the restart is still there');
  for (const { record } of ended) void releases.release(record, true).catch(() => false);
}

/** Claims from before the host was restarted that no container took: etcd answers, so containers get addresses as ever. */
export async function releaseFormer(deps: ClaimAuditDeps, former: readonly LocalEndpoint[]): Promise<void> {
  if (former.length === 0) return;
  const { local, logger, releases } = deps;
  logger.info({ endpoints: former.length }, 'what containers had before the host was restarted is released');
  await local.forgetFormer(former).catch(() => undefined);
  await Promise.all(former.map(({ record }) => releases.release(record, true)));
}

/** Endpoints that were found right, with what the view said so by: nothing of it is changed, only replaced. */
export type RightClaims = WeakMap<LocalEndpoint, readonly unknown[]>;

/**
 * Endpoints of which a claim or the record is gone: written again where that is still possible, else taken apart, unless etcd
 * has fallen back behind what it was. Records that say of an endpoint what this host did not write are put right. `right`:
 * kept from one call to the next, so that of a thousand endpoints the one is looked at of which something changed; not over
 * an etcd that falls back.
 */
export async function restoreClaims(deps: ClaimAuditDeps, right: RightClaims): Promise<void> {
  const { local, state } = deps;
  const disputed = new Set(state.view.refusals.map(({ key }) => key));
  let failed: unknown;
  for (const endpoint of local.all()) {
    const { record } = endpoint;
    const claims = state.view.claims(record.networkId);
    const seen = state.view.endpoint(record);
    const known = right.get(endpoint);
    const isSame = known?.[0] === seen && record.addresses.every(({ ip }, nth) => known?.[nth + 1] === claims.get(ip));
    const isReadable = state.view.unreadable.size === 0 || !state.view.unreadable.has(keys.endpoint(record));
    const isDisputed = disputed.size > 0 && record.addresses.some(({ ip }) => disputed.has(claimEntry(record, ip).key));
    if (isReadable && !isDisputed && known && isSame) continue;
    if (!local.has(record.id)) continue;
    const saidBy = [seen, ...record.addresses.map(({ ip }) => claims.get(ip))];
    try {
      const held = heldEndpoint(record, (key) => state.confirmedEntryOf(key));
      if (await restore(deps, endpoint, held)) right.set(endpoint, saidBy);
    } catch (error) {
      // What stands in one's way is no reason to leave the others; an etcd that is away is in the way of all.
      if (asOverlaydError(error).retryable) throw error;
      failed ??= error;
    }
  }
  if (failed !== undefined) throw failed;
}

/** True when nothing was to be done. */
async function restore(deps: ClaimAuditDeps, endpoint: LocalEndpoint, held: HeldEndpoint): Promise<boolean> {
  const { drop, local, logger, releases, state } = deps;
  const { record } = endpoint;
  const holders = new Set(held.addresses.map(({ holder }) => holder));
  // A key that is there but cannot be read proves nothing.
  if ((held.revision !== undefined && !held.record) || holders.has('unknown')) return true;
  const isWhole = held.record !== undefined && holders.size === 1 && holders.has('self');
  if (isWhole) return await putRight(deps, endpoint, held);
  const outcome = !holders.has('other')
    ? await reclaim(deps, endpoint, held)
    : held.record && addressList(held.record) === addressList(record)
      ? await takeBack(deps, endpoint, held)
      : 'its address belongs to another endpoint now';
  if (outcome === 'claimed') {
    const event = { event: 'claim-restored', endpoint: record.name, address: addressList(record) } as const;
    logger.warn(event, 'claim was lost and has been made again');
    if (!local.has(record.id)) await releases.release(record, true);
  } else if (outcome !== 'changed' && local.has(record.id) && !state.view.behind) {
    await drop([endpoint], outcome);
  }
  return false;
}

/**
 * Somebody wrote over a claim of an endpoint that etcd has with that very address, which no agent does: an address changes
 * hands with its endpoint's record.
 */
async function takeBack(
  { commit, logger }: ClaimAuditDeps,
  { record }: LocalEndpoint,
  held: HeldEndpoint,
): Promise<'claimed' | 'changed'> {
  const lost = held.addresses.filter(({ holder }) => holder !== 'self');
  logger.error(
    { event: 'claim-stolen', endpoint: record.name, addresses: lost.map(({ ip }) => ip) },
    'claims of an endpoint were written over by somebody: taken back',
  );
  const committed = await commit(
    [held, ...held.addresses].map((each) => each.unchanged),
    lost.map(({ ip }) => ({ kind: 'put', ...claimEntry(record, ip) })),
  );
  return committed ? 'claimed' : 'changed';
}

/** What an engine's endpoint is called, and how it is, is the engine's to say, and may be on its way to etcd. */
function rightRecord({ record, engine }: LocalEndpoint, held: EndpointRecord | undefined): EndpointRecord {
  const { name, aliases, createdAt } = engine && held ? held : record;
  const { health: _, ...own } = record;
  return endpointWith(held, { ...(engine && held ? own : record), name, aliases, createdAt });
}

/** True when nothing was to be put right. */
async function putRight(
  { commit, local, logger }: ClaimAuditDeps,
  endpoint: LocalEndpoint,
  { key, record: found, unchanged }: HeldEndpoint,
): Promise<boolean> {
  const { record } = endpoint;
  const right = rightRecord(endpoint, found);
  if (encodeRecord(right) === encodeRecord(found!)) return true;
  const committed = await commit([unchanged], [{ kind: 'put', key, record: right }]);
  if (!committed || !local.has(record.id)) return false;
  logger.warn(
    { event: 'endpoint-corrected', endpoint: record.name, found },
    'the record of an endpoint was not what this host wrote: put right',
  );
  return false;
}

/**
 * Whether etcd, which is behind what it was, holds all that this host has: then nothing is lost by taking it as it is.
 */
export function mayAcceptStore({ local, state }: Pick<ClaimAuditDeps, 'local' | 'state'>, selfId: string): boolean {
  const own = state.revisionOf(keys.node(selfId)) ?? SEED_REVISION;
  return state.view.cluster() !== undefined && own > SEED_REVISION && unclaimed(state, local).length === 0;
}

/** The others claim theirs again meanwhile: what they have not is taken for gone then. */
const ACCEPT_AFTER_MS = 60_000;

export class StoreAcceptance {
  #since: number | undefined;

  /** `now`: of a clock that goes on evenly. */
  isDue(acceptable: boolean, now: number): boolean {
    this.#since = acceptable ? (this.#since ?? now) : undefined;
    return this.#since !== undefined && now - this.#since >= ACCEPT_AFTER_MS;
  }
}

/**
 * Writes what is missing of it. `changed`: something is not as it was known here, which etcd is about to tell. Else why it
 * cannot be claimed, in words.
 */
async function reclaim(
  { commit, state, store }: ClaimAuditDeps,
  endpoint: LocalEndpoint,
  held: HeldEndpoint,
): Promise<'claimed' | 'changed' | 'its claim was removed'> {
  const { record } = endpoint;
  const { networkId } = record;
  const network = state.view.network(networkId);
  const known = state.confirmedEntryOf(keys.network(networkId));
  if (!known || network?.state !== 'active') return 'its claim was removed';
  // A quarantine record says that somebody released the address on purpose.
  const quarantine = state.view.quarantine(networkId);
  if (record.addresses.some(({ ip }) => quarantine.has(ip))) return 'its claim was removed';
  const macs = new MacClaims({ state, store });
  const right = rightRecord(endpoint, held.record);
  const lost = held.addresses.filter(({ holder }) => holder === 'nobody');
  const attempt = async () => {
    const mac = macs.claim(network, right, held.record);
    return await commit(
      [
        unchanged(keys.network(networkId), known),
        ...[held, ...held.addresses].map((each) => each.unchanged),
        ...lost.map(({ ip }) => ({ kind: 'absent', key: keys.quarantine(networkId, ip) }) as const),
        ...mac.compares,
      ],
      [
        { kind: 'put', key: held.key, record: right },
        ...lost.map(({ ip }) => ({ kind: 'put', ...claimEntry(record, ip) }) as const),
        ...mac.changes,
      ],
    );
  };
  if (await attempt()) return 'claimed';
  // The key of its MAC may have outlived the claim.
  if (await macs.learn(network, record.mac, record)) return 'its claim was removed';
  return (await attempt()) ? 'claimed' : 'changed';
}
