/**
 * Gives addresses back to the cluster: delete the claim, put the address into quarantine, where it may be kept for the
 * endpoint's name (`core/ipam/kept.ts`), in one transaction. What
 * cannot be done now (etcd is away, the outcome of a claim is unknown) is kept and tried again; what a crash forgets is
 * found by the sweep at the next start, because the claim names this node and the state file does not know it.
 */
import { isOverlaydError } from '../../core/errors.ts';
import { isSameName, keptRecord, surplusOf } from '../../core/ipam/kept.ts';
import { Latch } from '../../core/latch.ts';
import { decodeQuarantine } from '../../core/record-codec.ts';
import { addressList, type EndpointRecord, keys, type QuarantineRecord } from '../../core/records.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, Compare } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Change, type Commit, type Committed, unchanged } from '../view/commit.ts';
import { type HeldAddress, type HeldEndpoint, heldEndpoint, readEndpoint } from './endpoint-claims.ts';
import { releaseMac } from './mac-claims.ts';

export interface ReleasesDeps {
  readonly store: Pick<ClusterStore, 'get' | 'grantLease'>;
  readonly commit: Commit;
  readonly state: ClusterState;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ReleasesOptions {
  readonly selfId: string;
  readonly quarantineSeconds: number;
}

interface Release {
  readonly record: EndpointRecord;
  readonly clean: boolean;
  /** The claim may still be on its way to etcd: it must not succeed any more. */
  readonly fence: boolean;
}

/** Releases within this time share one lease: their quarantine is longer by up to as much. */
const LEASE_SHARE_MS = 10_000;
const RETRY_MS = 1_000;

export class Releases {
  readonly #deps: ReleasesDeps;
  readonly #options: ReleasesOptions;
  readonly #pending = new Map<string, Release>();
  readonly #waiting = new Latch();
  /** The last attempt was not answered. Whoever comes next does not wait for etcd too: `run` goes on trying. */
  #unanswered = false;
  #lease: { readonly id: Promise<string>; readonly grantedAt: number } | undefined;

  constructor(deps: ReleasesDeps, options: ReleasesOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  isPending(endpointId: string): boolean {
    return this.#pending.has(endpointId);
  }

  /** What a release that comes in a moment needs of etcd is asked for already. */
  prepare(): void {
    if (!this.#unanswered) void this.#quarantineLease().catch(() => undefined);
  }

  /**
   * Releases now, or later if etcd is away; never throws for that. `clean`: the endpoint is torn down for certain.
   * Resolves true when etcd has it.
   */
  release(record: EndpointRecord, clean: boolean): Promise<boolean> {
    return this.#release({ record, clean, fence: false });
  }

  /** Sees to it that a claim whose outcome is unknown leaves nothing, even if etcd carries it out later. */
  abandon(record: EndpointRecord): Promise<boolean> {
    return this.#release({ record, clean: true, fence: true });
  }

  /** Tries now what waits of endpoints of that name: the next one is about to have what they had. */
  async settle(networkId: string, name: string): Promise<void> {
    const isMeant = ({ record }: Release) => record.networkId === networkId && isSameName(record.name, name);
    for (const release of [...this.#pending.values()].filter(isMeant)) {
      if (!(await this.#attempt(release, true))) break;
    }
  }

  async #release(release: Release): Promise<boolean> {
    const { record } = release;
    const known = this.#pending.has(record.id);
    this.#pending.set(record.id, release);
    this.#waiting.set();
    return this.#unanswered ? false : await this.#attempt(release, known);
  }

  async #attempt(release: Release, known: boolean): Promise<boolean> {
    const { record } = release;
    try {
      await this.#releaseNow(release);
      this.#unanswered = false;
      this.#pending.delete(record.id);
      return true;
    } catch (error) {
      this.#unanswered = isOverlaydError(error) && error.retryable;
      // It may be the lease that etcd does not know any more.
      this.#lease = undefined;
      if (!this.#unanswered) throw error;
      if (!known)
        this.#deps.logger.warn({ endpoint: record.name, address: addressList(record) }, 'release waits for etcd');
      return false;
    }
  }

  /** Goes on with what waits for etcd, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#waiting.set(), { once: true });
    while (!signal.aborted) {
      if (this.#pending.size === 0) await this.#waiting.wait();
      await this.#deps.clock.sleep(RETRY_MS, signal);
      for (const release of [...this.#pending.values()]) {
        await this.#attempt(release, true).catch(() => false);
        // What etcd refuses of one is no reason to keep the others waiting.
        if (this.#unanswered) break;
      }
    }
  }

  async #releaseNow({ record, clean, fence }: Release): Promise<void> {
    const { state, store } = this.#deps;
    let held = heldEndpoint(record, (key) => state.entryOf(key));
    for (let isFresh = false; ; isFresh = true, held = await readEndpoint(store, record)) {
      const isUnreadable = held.revision !== undefined && !held.record;
      if (isUnreadable) {
        if (isFresh) return;
        continue;
      }
      const isThere = held.revision !== undefined || held.addresses.some(({ holder }) => holder === 'self');
      // Nobody waits for the peers: until they hear of it they have a name too many, and a way that leads nowhere.
      if (isThere && (await this.#tryRelease(held, clean, isFresh))) return;
      if (!isThere && isFresh && (!fence || (await this.#fence(held)))) return;
    }
  }

  /** What is its own of it; undefined when it was not as found. The record as it is now: its MAC may have been chosen since. */
  async #tryRelease(held: HeldEndpoint, clean: boolean, isFresh: boolean): Promise<Committed | undefined> {
    const { networkId, key, record, addresses } = held;
    const own = addresses.filter(({ holder }) => holder === 'self');
    const free = addresses.filter(({ holder }) => holder === 'self' || holder === 'nobody');
    // One that has gone meanwhile is no reason to try for ever.
    const surplus = record?.sticky && !isFresh ? this.#surplus(networkId, free) : [];
    return await this.#deps.commit(
      [held.unchanged, ...free.map((address) => address.unchanged), ...surplus.map(({ compare }) => compare)],
      [
        ...(record ? [{ kind: 'delete', key } as const, ...releaseMac(record)] : []),
        ...own.map((address) => ({ kind: 'delete', key: address.key }) as const),
        ...(await this.#quarantines(networkId, free, clean, record)),
        ...surplus.map(({ change }) => change),
      ],
    );
  }

  /** What the network keeps for names and lets go of for what is kept next. */
  #surplus(
    networkId: string,
    coming: readonly HeldAddress[],
  ): { readonly compare: Compare; readonly change: Change }[] {
    const { state } = this.#deps;
    const addresses = coming.map(({ ip }) => ip);
    return surplusOf(state.view.quarantine(networkId), addresses).map((address) => {
      const key = keys.quarantine(networkId, address);
      return { compare: unchanged(key, state.entryOf(key)), change: { kind: 'delete', key } };
    });
  }

  /**
   * Every claim compares the quarantine keys: once they are written, a claim from before can only fail, as it does where
   * one of its addresses is another's. What it would have taken of what is kept for a name goes on being kept. False: it
   * was quicker.
   */
  async #fence(held: HeldEndpoint): Promise<boolean> {
    const { addresses, networkId } = held;
    if (addresses.some(({ holder }) => holder !== 'nobody')) return true;
    const found = await Promise.all(addresses.map(({ ip }) => this.#deps.store.get(keys.quarantine(networkId, ip))));
    const kept = found.filter((entry) => entry !== undefined && decodeQuarantine(entry.value)?.keptFor !== undefined);
    const others = addresses.filter((_, at) => !kept.includes(found[at]));
    const committed = await this.#deps.commit(
      [
        held.unchanged,
        ...addresses.map((address) => address.unchanged),
        ...kept.map((entry) => unchanged(entry!.key, entry)),
      ],
      [
        ...kept.map((entry) => ({ kind: 'put', key: entry!.key, record: entry!.value }) as const),
        ...(await this.#quarantines(networkId, others, true, undefined)),
      ],
    );
    return committed !== undefined;
  }

  /** `endpoint`: whose they were. */
  async #quarantines(
    networkId: string,
    addresses: readonly HeldAddress[],
    clean: boolean,
    endpoint: EndpointRecord | undefined,
  ): Promise<Change[]> {
    const { quarantineSeconds, selfId: by } = this.#options;
    if (addresses.length === 0) return [];
    const released: QuarantineRecord = { releasedAt: this.#deps.clock.now(), by, clean };
    const kept = keptRecord(endpoint, released, quarantineSeconds);
    const network = this.#deps.state.view.network(networkId);
    const changes = addresses.map(async ({ ip }): Promise<Change> => {
      const key = keys.quarantine(networkId, ip);
      // Of a subnet that a restored etcd lacks nobody is given anything: it would be kept for ever.
      if (kept && (!network || subnetWith(network.subnets, ip))) return { kind: 'put', key, record: kept };
      return { kind: 'put', key, record: released, lease: await this.#quarantineLease() };
    });
    return Promise.all(changes);
  }

  #quarantineLease(): Promise<string> {
    const now = this.#deps.clock.elapsed();
    if (!this.#lease || now - this.#lease.grantedAt > LEASE_SHARE_MS) {
      const id = this.#deps.store.grantLease(this.#options.quarantineSeconds + LEASE_SHARE_MS / 1_000);
      this.#lease = { id, grantedAt: now };
      id.catch(() => {
        this.#lease = undefined;
      });
    }
    return this.#lease.id;
  }
}
