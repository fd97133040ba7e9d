/** A cluster as records, for tests of one host's kernel: what the view says, and which endpoints are local. */
import { contains, parseCidr } from '../../src/core/cidr.ts';
import type { ClusterView } from '../../src/core/cluster-view.ts';
import { type ContainerRef, type EngineAttachment, handedOver, type LocalEndpoint } from '../../src/core/container.ts';
import { macOf, parseIp } from '../../src/core/ip.ts';
import { handoverLinkOf } from '../../src/core/plan/naming.ts';
import type { EndpointRecord, NetworkRecord, NodeRecord, SubnetSpec } from '../../src/core/records.ts';
import type { ServicesRecord } from '../../src/core/service-records.ts';

export interface NetworkChoice {
  readonly vni: number;
  readonly cidr: string;
  readonly gateway: string;
  readonly internal?: boolean;
  readonly options?: Readonly<Record<string, string>>;
}

/** The view of one node; tests change it in place. */
export class World implements ClusterView {
  isWhole = true;
  behind = false;
  readonly refusals = [];
  readonly unreadable = new Map<string, string>();
  readonly level = undefined;
  readonly revision = 1;
  readonly nodeRecords = new Map<string, NodeRecord>();
  readonly networkRecords = new Map<string, NetworkRecord>();
  readonly endpointRecords = new Map<string, EndpointRecord>();
  /** By endpoint id. */
  readonly local = new Map<string, LocalEndpoint>();
  serviceAddress = false;
  readonly selfId: string;
  #lastId = 0;
  #moment = 0;

  constructor(selfId: string) {
    this.selfId = selfId;
  }

  get provesAbsence(): boolean {
    return this.isWhole && !this.behind;
  }

  get self(): NodeRecord {
    return this.nodeRecords.get(this.selfId)!;
  }

  // ------------------------------------------------------------ the view

  cluster = () => undefined;
  keepers = () => undefined;
  keepersRecord = () => undefined;
  storeChange = () => undefined;
  live = () => undefined;
  readonly serviceRecords = new Map<string, ServicesRecord>();
  staticNames = () => undefined;
  services = (networkId: string) => this.serviceRecords.get(networkId);
  quarantine = () => new Map();
  keyNumbers = () => new Map();
  node = (id: string) => this.nodeRecords.get(id);
  nodes = () => this.nodeRecords.values();
  network = (id: string) => this.networkRecords.get(id);
  networks = () => this.networkRecords.values();
  networkByName = (name: string) => [...this.networkRecords.values()].find((network) => network.name === name);
  claims = () => new Map();
  subnetTally = () => ({ taken: 0, quarantined: 0, kept: 0 });
  sharedMacs = () => new Map();
  /** Tests change records without saying so. */
  moment = () => ++this.#moment;
  momentOfOthers = () => ++this.#moment;
  endpoint = ({ id }: Pick<EndpointRecord, 'id'>) => this.endpointRecords.get(id);
  endpointCount = () => this.endpointRecords.size;
  endpointsOf = (nodeId: string) => new Map([...this.endpointRecords].filter(([, record]) => record.nodeId === nodeId));
  endpointsOn = (networkId: string) =>
    [...this.endpointRecords.values()].filter((endpoint) => endpoint.networkId === networkId);
  addresses = (networkId: string) =>
    new Map(this.endpointsOn(networkId).flatMap((record) => record.addresses.map(({ ip }) => [ip, record] as const)));

  // ------------------------------------------------------------ changing it

  addNode(id: string, vtep: string, changes: Partial<NodeRecord> = {}): NodeRecord {
    const record: NodeRecord = {
      id,
      name: id,
      advertiseAddress: vtep,
      gossipPort: 7946,
      joinPort: 2377,
      vtep,
      dataPathPort: 4789,
      keyFingerprint: '',
      underlayMtu: 1500,
      hostRoutes: [],
      labels: {},
      joinedAt: 0,
      left: false,
      ...changes,
    };
    this.nodeRecords.set(id, record);
    return record;
  }

  addNetwork(name: string, { vni, cidr, gateway, internal = false, options = {} }: NetworkChoice): NetworkRecord {
    const record: NetworkRecord = {
      id: hex(vni),
      name,
      vni,
      subnets: [{ cidr, gateway, auxAddresses: {} }],
      internal,
      attachable: true,
      labels: {},
      options,
      createdAt: 0,
      state: 'active',
    };
    this.networkRecords.set(record.id, record);
    return record;
  }

  addRemote(network: NetworkRecord, nodeId: string, address: string): EndpointRecord {
    const record = this.#endpointRecord(network, nodeId, address);
    this.endpointRecords.set(record.id, record);
    return record;
  }

  /** `published: false`: etcd has not said so yet. */
  addLocal(
    network: NetworkRecord,
    address: string,
    container: ContainerRef,
    { ifname = 'eth0', published = true }: { ifname?: string; published?: boolean } = {},
  ): LocalEndpoint {
    const record = this.#endpointRecord(network, this.selfId, address);
    if (published) this.endpointRecords.set(record.id, record);
    const endpoint = { record, container, ifname };
    this.local.set(record.id, endpoint);
    return endpoint;
  }

  /** As an engine's driver call leaves it: the engine has not taken the link yet. */
  addHandedOver(network: NetworkRecord, address: string): LocalEndpoint & { readonly engine: EngineAttachment } {
    const record = this.#endpointRecord(network, this.selfId, address);
    this.endpointRecords.set(record.id, record);
    const engine = { endpointId: record.id, networkId: network.id };
    const endpoint = { record, container: handedOver(engine), ifname: handoverLinkOf(record.id), engine };
    this.local.set(record.id, endpoint);
    return endpoint;
  }

  /** The agent has learnt which container it is that an engine moved the link into. */
  learn(endpoint: LocalEndpoint, container: ContainerRef, ifname: string): void {
    this.local.set(endpoint.record.id, { ...endpoint, container, ifname });
  }

  remove(id: string): void {
    this.endpointRecords.delete(id);
    this.local.delete(id);
  }

  #endpointRecord(network: NetworkRecord, nodeId: string, address: string): EndpointRecord {
    return {
      // Told apart by their first characters, as random ids are; the end tells whose world it was made in.
      id: `${hex(++this.#lastId)
        .split('')
        .reverse()
        .join('')
        .slice(0, 48)}${hex(this.selfId.charCodeAt(1)).slice(48)}`,
      networkId: network.id,
      nodeId,
      addresses: [{ subnet: subnetOf(network, address), ip: address }],
      mac: macFor(address),
      name: `n${this.#lastId}`,
      aliases: [],
      createdAt: 0,
    };
  }
}

/** Of IPv6 by its last four bytes. */
function macFor(address: string): string {
  const ip = parseIp(address)!;
  return macOf(ip.family === 4 ? ip : { family: 4, value: ip.value & 0xffff_ffffn });
}

function hex(value: number): string {
  return value.toString(16).padStart(64, '0');
}

function subnetOf({ subnets }: NetworkRecord, address: string): string {
  const isIn = ({ cidr }: SubnetSpec) => contains(parseCidr(cidr)!, parseIp(address)!);
  return (subnets.find(isIn) ?? subnets[0]!).cidr;
}
