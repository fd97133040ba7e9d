/**
 * Compares the claims that etcd holds for this node with the endpoints that this node has, both ways. Only ever on a
 * whole view that etcd itself confirms: absence must be proved before anything is taken apart.
 */
import type { LocalEndpoint } from '../core/container.ts';
import { asOverlaydError } from '../core/errors.ts';
import { SEED_REVISION } from '../core/gossip/replica.ts';
import { encodeRecord } from '../core/record-codec.ts';
import { type EndpointRecord, keys } from '../core/records.ts';
import type { ClusterStore, Logger } from '../ports.ts';
import type { ClusterState } from './cluster-state.ts';
import type { Commit } from './commit.ts';
import type { Endpoints } from './endpoints.ts';
import type { LocalEndpoints } from './local-endpoints.ts';
import { MacClaims } from './mac-claims.ts';
import { isClaimed, unclaimed } from './own-holdings.ts';
import type { Releases } from './releases.ts';

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
  for (const network of state.view.networks()) {
    for (const record of state.view.endpoints(network.id).values()) {
      if (record.nodeId !== options.selfId || options.isOfThisRun(record.id)) continue;
      const awaited = local.former().some((endpoint) => endpoint.record.id === record.id);
      if (local.has(record.id) || awaited || releases.isPending(record.id)) continue;
      logger.warn({ endpoint: record.name, address: record.address }, 'claim without an endpoint released');
      await releases.release(record, true);
    }
  }
}

/** What ended with the host and comes back by nobody's doing. Does not wait for etcd. */
export async function releaseEnded(
  {
    endpoints,
    logger,
    releases,
  }: Pick<ClaimAuditDeps, 'logger' | 'releases'> & { endpoints: Pick<Endpoints, 'configureResolver'> },
  ended: readonly LocalEndpoint[],
): Promise<void> {
  if (ended.length > 0) logger.info({ endpoints: ended.length }, 'host was restarted: its endpoints are released');
  // What they were connected for is gone, and a new namespace of that name would be sent to a gateway it does not reach.
  const resolvers = ended.map(({ container }) => endpoints.configureResolver(container));
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

/** Endpoints that were found right, with the record of the view that said so: neither is changed, only replaced. */
export type RightClaims = WeakMap<LocalEndpoint, EndpointRecord>;

/**
 * Endpoints whose claim is gone: claimed again where that is still possible, else taken apart, unless etcd has fallen back
 * behind what it was. Claims that say of an endpoint what this host did not write are put right. `right`: kept from one
 * call to the next, so that of a thousand endpoints the one whose claim changed is looked at; not over an etcd that falls back.
 */
export async function restoreClaims(deps: ClaimAuditDeps, right: RightClaims): Promise<void> {
  const { local, state } = deps;
  let failed: unknown;
  for (const endpoint of local.all()) {
    const { record } = endpoint;
    const held = state.view.endpoints(record.networkId).get(record.address);
    if (held && right.get(endpoint) === held) continue;
    if (!local.has(record.id)) continue;
    try {
      if (!isClaimed(state, record)) await restoreClaim(deps, endpoint);
      else if (held && (await putRight(deps, endpoint))) right.set(endpoint, held);
    } catch (error) {
      // What stands in one's way is no reason to leave the others; an etcd that is away is in the way of all.
      if (asOverlaydError(error).retryable) throw error;
      failed ??= error;
    }
  }
  if (failed !== undefined) throw failed;
}

async function restoreClaim(deps: ClaimAuditDeps, endpoint: LocalEndpoint): Promise<void> {
  const { drop, local, logger, releases, state } = deps;
  const { record } = endpoint;
  const held = state.view.endpoints(record.networkId).get(record.address);
  const isFree = held === undefined || held.id === record.id;
  // A key that is there but cannot be read proves nothing.
  const revision = state.revisionOf(keys.endpoint(record.networkId, record.address));
  if (held === undefined && revision !== undefined) return;
  if (isFree && (await reclaim(deps, record))) {
    logger.warn({ endpoint: record.name, address: record.address }, 'claim was lost and has been made again');
    if (!local.has(record.id)) await releases.release(record, true);
  } else if (local.has(record.id) && !state.view.behind) {
    await drop([endpoint], isFree ? 'its claim was removed' : 'its address belongs to another endpoint now');
  }
}

/**
 * The names of an engine's endpoint are the engine's, and may be on their way to etcd. True when nothing was to be put
 * right.
 */
async function putRight({ commit, local, logger, state }: ClaimAuditDeps, endpoint: LocalEndpoint): Promise<boolean> {
  const { record, engine } = endpoint;
  const key = keys.endpoint(record.networkId, record.address);
  const held = state.view.endpoints(record.networkId).get(record.address)!;
  const { nodeId, mac } = record;
  const right = { ...held, ...(engine ? { nodeId, mac } : record) };
  if (state.view.unreadable.has(key) || encodeRecord(right) === encodeRecord(held)) return true;
  const revision = state.revisionOf(key);
  if (revision === undefined) return false;
  const committed = await commit([{ kind: 'revision', key, revision }], [{ kind: 'put', key, record: right }]);
  if (!committed || !local.has(record.id)) return false;
  logger.warn(
    { endpoint: record.name, found: held },
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

async function reclaim({ commit, state, store }: ClaimAuditDeps, record: EndpointRecord): Promise<boolean> {
  const networkKey = keys.network(record.networkId);
  const revision = state.revisionOf(networkKey);
  if (revision === undefined || revision <= SEED_REVISION) return false;
  const network = state.view.network(record.networkId);
  if (network?.state !== 'active') return false;
  // A quarantine record says that somebody released the address on purpose.
  if (state.view.quarantine(record.networkId).has(record.address)) return false;
  const key = keys.endpoint(record.networkId, record.address);
  const macs = new MacClaims({ state, store });
  const attempt = async () => {
    const mac = macs.claim(network, record);
    const committed = await commit(
      [
        { kind: 'revision', key: networkKey, revision },
        { kind: 'absent', key },
        { kind: 'absent', key: keys.quarantine(record.networkId, record.address) },
        ...mac.compares,
      ],
      [{ kind: 'put', key, record }, ...mac.changes],
    );
    return committed !== undefined;
  };
  if (await attempt()) return true;
  // The key of its MAC may have outlived the claim.
  return !(await macs.learn(network, record.mac)) && (await attempt());
}
