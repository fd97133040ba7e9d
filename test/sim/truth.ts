/** What etcd holds, as whoever works out from it alone what hosts have to do. Nothing of the agent's own reading of it is asked. */
import type {
  ClaimRecord,
  ClusterRecord,
  EndpointRecord,
  NetworkRecord,
  NodeRecord,
  StaticNamesRecord,
} from '../../src/core/records.ts';
import { PREFIX } from '../../src/core/records.ts';
import type { MemoryEtcd } from './memory-store.ts';

export interface Truth {
  readonly cluster: ClusterRecord | undefined;
  readonly networks: readonly NetworkRecord[];
  /** By id; those that left are none. */
  readonly members: ReadonlyMap<string, NodeRecord>;
  /** By network id. */
  readonly endpoints: ReadonlyMap<string, readonly EndpointRecord[]>;
  /** Everything that endpoints were ever called, by network id. */
  readonly everCalled: ReadonlyMap<string, readonly EndpointRecord[]>;
  /** By network id. */
  readonly staticNames: ReadonlyMap<string, StaticNamesRecord>;
  /** Something has to go through tunnels. */
  readonly usesTunnels: boolean;
}

/** Of an endpoint, addresses that the claims give to another one are none. */
export function truthOf(etcd: MemoryEtcd): Truth {
  const under = (kind: string) => etcd.entries(`${PREFIX}${kind}`);
  const parsed = (kind: string) => under(`${kind}/`).map(({ value }) => JSON.parse(value));
  const claims = new Map<string, ClaimRecord>(under('addresses/').map(({ key, value }) => [key, JSON.parse(value)]));
  const endpoints = (parsed('endpoints') as EndpointRecord[]).map((endpoint) => ({
    ...endpoint,
    addresses: endpoint.addresses.filter(
      ({ ip }) => claims.get(`${PREFIX}addresses/${endpoint.networkId}/${ip}`)?.endpointId === endpoint.id,
    ),
  }));
  const networks: NetworkRecord[] = parsed('networks');
  const members = (parsed('nodes') as NodeRecord[]).filter(({ left }) => !left);
  const cluster = under('cluster').map(({ value }) => JSON.parse(value) as ClusterRecord)[0];
  return {
    ...{ cluster, networks },
    members: new Map(members.map((node) => [node.id, node])),
    endpoints: Map.groupBy(
      endpoints.filter(({ addresses }) => addresses.length > 0),
      ({ networkId }) => networkId,
    ),
    everCalled: Map.groupBy(
      etcd.everPut(`${PREFIX}endpoints/`).map((value) => JSON.parse(value) as EndpointRecord),
      ({ networkId }) => networkId,
    ),
    staticNames: new Map((parsed('dns') as StaticNamesRecord[]).map((names) => [names.networkId, names])),
    usesTunnels:
      cluster?.encryption !== undefined || networks.some(isEncrypted) || members.some(({ nat }) => nat === true),
  };
}

export function isEncrypted({ options }: NetworkRecord): boolean {
  return options.encrypted !== undefined && options.encrypted !== 'false';
}

export function isIpv6(address: string): boolean {
  return address.includes(':');
}

/** Addresses of the ends of tunnels, and of what calls through them, by the number of a key. */
export function insideTunnels(number: number): { readonly vtep: string; readonly control: string } {
  const last = `${Math.floor(number / 256)}.${number % 256}`;
  return { vtep: `198.18.${last}`, control: `198.19.${last}` };
}
