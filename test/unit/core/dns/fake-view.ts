import type { ClusterView } from '../../../../src/core/cluster-view.ts';
import type { EndpointPort, EndpointRecord, NetworkRecord, StaticSet } from '../../../../src/core/records.ts';

export interface FakeEndpoint {
  readonly address: string;
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly nodeId?: string;
  readonly id?: string;
  readonly ports?: readonly EndpointPort[];
}

export interface FakeNetwork {
  readonly id: string;
  readonly name: string;
  readonly cidr: string;
  readonly cidr6?: string;
  readonly internal?: boolean;
  readonly options?: Readonly<Record<string, string>>;
  readonly endpoints: readonly FakeEndpoint[];
  /** Static names. */
  readonly sets?: readonly StaticSet[];
}

/** A view of these networks as they are at each look, so that a test may change the array's endpoints. */
export function fakeView(networks: readonly FakeNetwork[]): ClusterView {
  const find = (networkId: string) => networks.find(({ id }) => id === networkId);
  const none = () => undefined;
  let looks = 0;
  return {
    isWhole: true,
    behind: false,
    provesAbsence: true,
    revision: 1,
    unreadable: new Map(),
    level: undefined,
    refusals: [],
    cluster: none,
    keepers: none,
    keepersRecord: none,
    storeChange: none,
    node: none,
    nodes: () => [],
    live: none,
    network: (networkId) => networkRecord(find(networkId)),
    networkByName: (name) => networkRecord(networks.find((network) => network.name === name)),
    networks: () => networks.flatMap((network) => networkRecord(network) ?? []),
    // It may have changed since.
    moment: () => ++looks,
    momentOfOthers: () => ++looks,
    claims: () => new Map(),
    endpointsOf: () => new Map(),
    endpointCount: () => 0,
    endpointsOn: () => [],
    addresses: (networkId) =>
      new Map(
        (find(networkId)?.endpoints ?? []).map((endpoint) => [endpoint.address, endpointRecord(networkId, endpoint)]),
      ),
    endpoint: none,
    services: () => undefined,
    staticNames: (networkId) => {
      const sets = find(networkId)?.sets;
      return sets && { networkId, sets };
    },
    quarantine: () => new Map(),
    subnetTally: () => ({ taken: 0, quarantined: 0, kept: 0 }),
    sharedMacs: () => new Map(),
    keyNumbers: () => new Map(),
  };
}

function networkRecord(network: FakeNetwork | undefined): NetworkRecord | undefined {
  return (
    network && {
      id: network.id,
      name: network.name,
      vni: 4096,
      subnets: [network.cidr, ...(network.cidr6 ? [network.cidr6] : [])].map((cidr) => ({
        ...{ cidr, gateway: cidr.replace(/0?\/.*/, '1'), auxAddresses: {} },
      })),
      internal: network.internal ?? false,
      attachable: true,
      labels: {},
      options: network.options ?? {},
      createdAt: 0,
      state: 'active',
    }
  );
}

function endpointRecord(networkId: string, endpoint: FakeEndpoint): EndpointRecord {
  return {
    id: endpoint.id ?? 'f'.repeat(64),
    networkId,
    nodeId: endpoint.nodeId ?? 'node-1',
    addresses: [{ subnet: '10.0.0.0/8', ip: endpoint.address }],
    mac: '02:42:00:00:00:00',
    name: endpoint.name,
    aliases: endpoint.aliases ?? [],
    createdAt: 0,
    ...(endpoint.ports && { ports: endpoint.ports }),
  };
}
