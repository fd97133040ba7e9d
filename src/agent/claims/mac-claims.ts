/**
 * No two endpoints of a network have one MAC. Mostly the MAC follows from the IPv4 address, and then the claim of the address
 * is that of the MAC. One that was chosen, or proposed from an IPv6 address, has a key of its own, made and deleted by
 * the transactions that make and delete the endpoint. Whoever claims an address compares that nobody has such a key of the MAC
 * that follows from it; whoever claims a MAC compares that the address which it follows from is nobody's, or has another. So
 * of two that race one fails.
 *
 * Endpoints of releases that made no such keys are found in the view, where they have been for long.
 */
import { addressOfMac, hasMacClaim } from '../../core/endpoint-mac.ts';
import { unreadableRecord } from '../../core/levels.ts';
import { decodeClaim, decodeEndpoint } from '../../core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../../core/records.ts';
import type { ClusterStore, Compare, StoreEntry } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Change, unchanged } from '../view/commit.ts';

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
  claim(network: NetworkRecord, endpoint: EndpointRecord, former?: EndpointRecord): MacPart {
    const { state } = this.#deps;
    const { id, mac, networkId, nodeId } = endpoint;
    if (former?.mac === mac) return { compares: [], changes: [] };
    const key = keys.mac(networkId, mac);
    const stale = this.#stale.get(key);
    const free: Compare = stale === undefined ? { kind: 'absent', key } : { kind: 'revision', key, revision: stale };
    const released = former ? releaseMac(former) : [];
    if (!hasMacClaim(endpoint)) {
      return { compares: [free], changes: stale === undefined ? released : [...released, { kind: 'delete', key }] };
    }
    const compares: Compare[] = [free];
    const followsFrom = addressOfMac(mac, network);
    if (followsFrom !== undefined) {
      const other = state.view.addresses(networkId).get(followsFrom);
      // Its MAC may change, or another endpoint come to the address.
      const others = [
        keys.address(networkId, followsFrom),
        ...(other && other.id !== id ? [keys.endpoint(other)] : []),
      ];
      compares.push(...others.map((each) => unchanged(each, state.entryOf(each))));
    }
    return { compares, changes: [...released, { kind: 'put', key, record: { endpointId: id, nodeId } }] };
  }

  /**
   * After such a transaction of `endpoint` failed: reads what it compared. Returns which other one has the MAC, or
   * undefined: then it may be tried again. Throws `version-mismatch` when it is somebody's whose record cannot be read.
   */
  async learn(network: NetworkRecord, mac: string, endpoint?: EndpointRecord): Promise<EndpointRecord | undefined> {
    const { id } = network;
    const { store } = this.#deps;
    const key = keys.mac(id, mac);
    const followsFrom = addressOfMac(mac, network);
    const [chosen, followed] = await Promise.all([
      store.get(key),
      followsFrom === undefined ? undefined : store.get(keys.address(id, followsFrom)),
    ]);
    this.#stale.delete(key);
    const follower = followed && (await this.#holder(followed, mac));
    if (follower?.mac === mac && follower.id !== endpoint?.id) return follower;
    const holder = chosen && (await this.#holder(chosen, mac));
    if (holder?.mac === mac && holder.id !== endpoint?.id) return holder;
    if (chosen && holder?.mac !== mac) this.#stale.set(key, chosen.revision);
    return undefined;
  }

  /** Whose claim it is; undefined when there is no such endpoint any more. */
  async #holder(claimed: StoreEntry, mac: string): Promise<EndpointRecord | undefined> {
    const { state, store } = this.#deps;
    const claim = decodeClaim(claimed.value);
    if (!claim) throw unreadableRecord(claimed.key, `MAC address ${mac} may belong to an endpoint; choose another`);
    const entry = await store.get(keys.endpoint({ nodeId: claim.nodeId, id: claim.endpointId }));
    if (!entry) return undefined;
    state.learn([claimed, entry]);
    const record = decodeEndpoint(entry.value);
    if (!record) throw unreadableRecord(entry.key, `MAC address ${mac} may belong to it; choose another`);
    return record;
  }
}

/** For the transaction that takes the endpoint away. */
export function releaseMac(endpoint: EndpointRecord): Extract<Change, { kind: 'delete' }>[] {
  return hasMacClaim(endpoint) ? [{ kind: 'delete', key: keys.mac(endpoint.networkId, endpoint.mac) }] : [];
}

/** Whether one of them has that MAC. Costs 0.1 ms of ten thousand. */
export function hasMac(endpoints: Iterable<EndpointRecord>, mac: string): boolean {
  for (const endpoint of endpoints) if (endpoint.mac === mac) return true;
  return false;
}
