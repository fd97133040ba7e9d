/** Changes of an endpoint's record by its own host: other names, or another MAC on its network. */
import { OverlaydError } from '../../core/errors.ts';
import { unreadableRecord } from '../../core/levels.ts';
import { endpointWith } from '../../core/record-codec.ts';
import { addressList, type EndpointRecord, firstAddress, keys, type NetworkRecord } from '../../core/records.ts';
import type { ClusterStore } from '../../ports/store.ts';
import { refuseTakenMac } from '../claims/mac-choice.ts';
import { MacClaims } from '../claims/mac-claims.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Commit, unchanged } from '../view/commit.ts';

export interface EndpointChangeDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly commit: Commit;
  readonly state: ClusterState;
}

/** What of an endpoint may change. */
export type EndpointFields = Partial<Pick<EndpointRecord, 'mac' | 'name' | 'aliases' | 'ports'>> & {
  /** Undefined: no more. */
  readonly health?: EndpointRecord['health'] | undefined;
};

const ATTEMPTS = 8;

export class EndpointChange {
  readonly #deps: EndpointChangeDeps;
  readonly #macs: MacClaims;

  constructor(deps: EndpointChangeDeps) {
    this.#deps = deps;
    this.#macs = new MacClaims(deps);
  }

  /**
   * In etcd, here and with the peers. `network`: where the MAC changes. Throws `endpoint-not-found`, `address-in-use`,
   * `version-mismatch`, `store-unavailable`.
   */
  async make(record: EndpointRecord, change: EndpointFields, network?: NetworkRecord): Promise<EndpointRecord> {
    const { commit, state, store } = this.#deps;
    const key = keys.endpoint(record);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const found = state.entryOf(key);
      const held = state.view.endpoint(record);
      if (state.view.unreadable.has(key)) throw unreadableRecord(key, `endpoint ${record.name} cannot be changed`);
      const { health, ...rest } = { ...record, ...change };
      const next = endpointWith(held && withoutHealth(held), { ...rest, ...(health && { health }) });
      if (found && held) {
        const mac = network && this.#macs.claim(network, next, record);
        const committed = await commit(
          [unchanged(key, found), ...(mac?.compares ?? [])],
          [{ kind: 'put', key, record: next }, ...(mac?.changes ?? [])],
        );
        if (committed) {
          await committed.told;
          return next;
        }
      }
      const entry = await store.get(key);
      if (!entry) break;
      state.learn([entry]);
      if (network && (await this.#macs.learn(network, next.mac, record)))
        refuseTakenMac(state.view, network, next.mac, firstAddress(record));
    }
    throw new OverlaydError('endpoint-not-found', `endpoint ${record.name}: ${addressList(record)} was released`);
  }
}

function withoutHealth({ health: _, ...rest }: EndpointRecord): EndpointRecord {
  return rest;
}

/** What events of an endpoint say of it. */
export function eventOf(record: EndpointRecord, network: NetworkRecord | undefined) {
  return { endpoint: record.name, network: network?.name, address: addressList(record) };
}
