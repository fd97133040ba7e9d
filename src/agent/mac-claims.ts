/**
 * No two endpoints of a network have one MAC. Mostly the MAC follows from the address, and then the claim of the address
 * is that of the MAC. One that was chosen has a key of its own, made and deleted by the transactions that make and delete
 * the endpoint. Whoever claims an address compares that nobody chose the MAC that follows from it; whoever chooses a MAC
 * compares that the address which it follows from is nobody's, or has another. So of two that race one fails.
 *
 * Endpoints of releases that made no such keys are found in the view, where they have been for long.
 */
import { requireCidr } from '../core/cidr.ts';
import { addressOfMac, isChosenMac } from '../core/endpoint-mac.ts';
import { unreadableRecord } from '../core/levels.ts';
import { decodeEndpoint, decodeMacClaim } from '../core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../core/records.ts';
import type { ClusterStore, Compare } from '../ports.ts';
import type { ClusterState } from './cluster-state.ts';
import type { Change } from './commit.ts';

export interface MacClaimsDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly state: ClusterState;
}

/** What a transaction that writes an endpoint has to hold besides. */
export interface MacPart {
  readonly compares: readonly Compare[];
  readonly changes: readonly Change[];
}

export class MacClaims {
  readonly #deps: MacClaimsDeps;
  /** Revisions of keys whose endpoint is gone: somebody of an older release took it away. */
  readonly #stale = new Map<string, number>();

  constructor(deps: MacClaimsDeps) {
    this.#deps = deps;
  }

  /** For the transaction that gives the endpoint its MAC. `former`: as it was before, if it was. */
  claim({ subnets }: NetworkRecord, endpoint: EndpointRecord, former?: EndpointRecord): MacPart {
    const { state } = this.#deps;
    const { address, id, mac, networkId } = endpoint;
    const key = keys.mac(networkId, mac);
    const stale = this.#stale.get(key);
    const free: Compare = stale === undefined ? { kind: 'absent', key } : { kind: 'revision', key, revision: stale };
    const released = former ? releaseMac(former) : [];
    if (!isChosenMac(endpoint)) {
      return { compares: [free], changes: stale === undefined ? released : [...released, { kind: 'delete', key }] };
    }
    const compares = [free];
    const followsFrom = addressOfMac(mac, requireCidr(subnets[0]!.cidr, 'subnet'));
    if (followsFrom !== undefined) {
      const other = keys.endpoint(networkId, followsFrom);
      const revision = state.revisionOf(other);
      compares.push(
        revision === undefined ? { kind: 'absent', key: other } : { kind: 'revision', key: other, revision },
      );
    }
    return { compares, changes: [...released, { kind: 'put', key, record: { endpointId: id, address } }] };
  }

  /**
   * After such a transaction failed: reads what it compared. Returns who has the MAC, or undefined: then it may be tried
   * again. Throws `version-mismatch` when it is somebody's whose record cannot be read.
   */
  async learn({ id, subnets }: NetworkRecord, mac: string): Promise<EndpointRecord | undefined> {
    const { state, store } = this.#deps;
    const key = keys.mac(id, mac);
    const followsFrom = addressOfMac(mac, requireCidr(subnets[0]!.cidr, 'subnet'));
    const [entry, other] = await Promise.all([
      store.get(key),
      followsFrom === undefined ? undefined : store.get(keys.endpoint(id, followsFrom)),
    ]);
    this.#stale.delete(key);
    if (other) state.learn([other]);
    const follower = other && decodeEndpoint(other.value);
    if (other && !follower) throw unreadableRecord(other.key, `MAC address ${mac} may belong to it; choose another`);
    if (follower?.mac === mac) return follower;
    if (!entry) return undefined;
    const claim = decodeMacClaim(entry.value);
    if (!claim) throw unreadableRecord(key, `MAC address ${mac} belongs to an endpoint; choose another`);
    const held = await store.get(keys.endpoint(id, claim.address));
    const holder = held && decodeEndpoint(held.value);
    if (held && !holder) throw unreadableRecord(held.key, `MAC address ${mac} belongs to it; choose another`);
    if (holder && holder.id === claim.endpointId && holder.mac === mac) {
      state.learn([held]);
      return holder;
    }
    this.#stale.set(key, entry.revision);
    return undefined;
  }
}

/** For the transaction that takes the endpoint away. */
export function releaseMac(endpoint: EndpointRecord): Extract<Change, { kind: 'delete' }>[] {
  return isChosenMac(endpoint) ? [{ kind: 'delete', key: keys.mac(endpoint.networkId, endpoint.mac) }] : [];
}

/** Whether one of them has that MAC. Costs 0.1 ms of ten thousand. */
export function hasMac(endpoints: Iterable<EndpointRecord>, mac: string): boolean {
  for (const endpoint of endpoints) if (endpoint.mac === mac) return true;
  return false;
}

/** Endpoints of one network that have one MAC, by MAC; only older releases let that happen. */
export function sharedMacs(endpoints: ReadonlyMap<string, EndpointRecord>): Map<string, readonly EndpointRecord[]> {
  // Asked of thousands each time that somebody looks at the status, and hardly ever is there one.
  const seen = new Set<string>();
  const shared = new Set<string>();
  for (const { mac } of endpoints.values()) (seen.has(mac) ? shared : seen).add(mac);
  if (shared.size === 0) return new Map();
  const theirs = [...endpoints.values()].filter(({ mac }) => shared.has(mac));
  return Map.groupBy(theirs, ({ mac }) => mac);
}
