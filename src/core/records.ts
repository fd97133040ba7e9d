/**
 * The records that the cluster shares, as they lie in etcd below `/overlayd/v2/` (JSON values), and their keys.
 * Each key is made by one compare-and-create transaction; only `live/` and `quarantine/` hang on leases, and of these not all.
 * Times are milliseconds since the epoch; addresses, CIDRs and MACs are canonical text.
 */

export const PREFIX = '/overlayd/v2/';
/** Where releases had their records that knew an endpoint by its address. Nothing there is read. */
export const FORMER_PREFIX = '/overlayd/v1/';

export interface ClusterRecord {
  readonly id: string;
  readonly caCertificate: string;
  /** Pools that automatic subnets come from, in order, e.g. `{ base: '10.0.0.0/8', prefix: 24 }`. */
  readonly pools: readonly { readonly base: string; readonly prefix: number }[];
  readonly vniRange: readonly [first: number, last: number];
  /** The /48 (RFC 4193) that automatic subnets of IPv6 come from. Absent: one is drawn when it is needed first. */
  readonly ulaPrefix?: string;
  readonly createdAt: number;
  /** What is spoken (`levels.ts`). Absent in records of before there were levels: 1. */
  readonly level?: number;
}

/** The levels that an agent speaks, from the lowest to the highest. */
export interface LevelRange {
  readonly from: number;
  readonly to: number;
}

export interface NodeRecord {
  readonly id: string;
  readonly name: string;
  /** Where members reach this node (an IP, those of all members of one family); gossip and join ports are beside it. */
  readonly advertiseAddress: string;
  readonly gossipPort: number;
  readonly joinPort: number;
  /** VXLAN tunnel endpoint address (an IP of this host, those of all members of one family) and UDP port. */
  readonly vtep: string;
  readonly dataPathPort: number;
  /** SHA-256 of the node certificate's public key (SPKI, DER), lower-case hex. */
  readonly keyFingerprint: string;
  /** Smallest MTU of this host's routes towards the other members; the inner MTU of every network follows from it. */
  readonly underlayMtu: number;
  /** In words what has that MTU, e.g. `link eth0`. Older agents leave it out. */
  readonly underlayLimit?: string;
  /** Destinations of this host's own routes, ours excluded; automatic subnets keep clear of them. */
  readonly hostRoutes: readonly string[];
  /** Those of `hostRoutes` that an address on a link brings: hosts of the link live there. Older agents leave it out. */
  readonly linkRoutes?: readonly string[];
  /** What this host has to reach besides members: no network may take these addresses. Older agents leave it out. */
  readonly neededAddresses?: readonly NeededAddress[];
  /** It has an address of IPv6, those of its links alone aside. Older agents leave it out. */
  readonly hasIpv6?: boolean;
  /** In words, when this host has lost an address of this record and none can take its place. */
  readonly addressProblem?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly joinedAt: number;
  /** Set by `leave`: the node stays listed as down until it is removed. */
  readonly left: boolean;
  /** This node runs the cluster's etcd. Absent on the others, and in records of versions that did not say it. */
  readonly holdsStore?: true;
  /** Of its agent. Absent in records of before there were levels, as `levels`: 1 alone. */
  readonly version?: string;
  readonly levels?: LevelRange;
}

/** `what` in words, e.g. `name server`. */
export interface NeededAddress {
  readonly address: string;
  readonly what: string;
}

/** Leased: the key's presence says that etcd heard from the agent within the lease. */
export interface LiveRecord {
  readonly nodeId: string;
  readonly bootId: string;
  readonly startedAt: number;
}

export interface SubnetSpec {
  readonly cidr: string;
  readonly gateway: string;
  readonly ipRange?: string;
  /** Reserved addresses by name (`--aux-address router=10.0.1.2`). */
  readonly auxAddresses: Readonly<Record<string, string>>;
}

export interface NetworkRecord {
  /** 64 hex characters, as Docker's. */
  readonly id: string;
  readonly name: string;
  readonly vni: number;
  readonly subnets: readonly SubnetSpec[];
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly createdAt: number;
  /** `deleting`: no new endpoint; VNI and subnets are freed once every member has torn its part down. */
  readonly state: 'active' | 'deleting';
}

/** One of a network's subnets (CIDR), and the address in it. */
export interface EndpointAddress {
  readonly subnet: string;
  readonly ip: string;
}

export interface EndpointRecord {
  /** 64 hex characters. */
  readonly id: string;
  readonly networkId: string;
  readonly nodeId: string;
  /** One at least, IPv4 first. Each is the endpoint's only as long as its claim says so. */
  readonly addresses: readonly EndpointAddress[];
  readonly mac: string;
  /** First name; PTR answers with it. */
  readonly name: string;
  readonly aliases: readonly string[];
  readonly createdAt: number;
  /** That it says it listens on (`endpoint-ports.ts`). Absent: none. */
  readonly ports?: readonly EndpointPort[];
  /** Absent: none. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Its addresses stay with its name when it goes (`ipam/kept.ts`). Absent: they do not. */
  readonly sticky?: true;
}

export interface EndpointPort {
  readonly port: number;
  /** `tcp`, `udp`, `sctp`; of a newer version maybe others. */
  readonly protocol: string;
  /** Of the service, in lower case. Absent: it is not found by one. */
  readonly name?: string;
}

/**
 * Names of a network that a person gave, all in one record: what one of them may not be beside another is decided by one
 * key. It is there as long as its network is.
 */
export interface StaticNamesRecord {
  readonly networkId: string;
  readonly sets: readonly StaticSet[];
}

/** Values of one type at one name, in the form of `dns/static-names.ts`. */
export interface StaticSet {
  /** In lower case, without the network. */
  readonly name: string;
  /** `A`, `CNAME`, …; of a newer version maybe others. */
  readonly type: string;
  readonly values: readonly string[];
  /** Absent: as the names of containers. */
  readonly ttlSeconds?: number;
}

/** Says whose an address is, or a MAC; one that follows from an IPv4 address has no key. */
export interface ClaimRecord {
  readonly endpointId: string;
  readonly nodeId: string;
}

/**
 * Leased, unless the address is kept for a name: the key's expiry is what returns the address to automatic choice.
 */
export interface QuarantineRecord {
  readonly releasedAt: number;
  readonly by: string;
  /** True when the owner itself tore the endpoint down: the address may be reused early when nothing else is free. */
  readonly clean: boolean;
  /** Absent: for nobody. */
  readonly keptFor?: KeptFor;
}

/** Whose an address is that is nobody's now (`ipam/kept.ts`). */
export interface KeptFor {
  readonly name: string;
  /** The one that had it: what one endpoint had belongs together. */
  readonly endpointId: string;
  /** By the wall clock: before, nobody else gets it, whatever is needed. Absent: where nothing else is free. */
  readonly restsUntil?: number;
}

export interface TokenRecord {
  readonly id: string;
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
  readonly role: 'member';
  readonly createdAt: number;
  readonly createdBy: string;
  /** Absent: does not expire. */
  readonly expiresAt?: number;
  /** Absent: unlimited. */
  readonly usesLeft?: number;
  /** Kept for a while after `revoke`, so that whoever still tries the token is told. */
  readonly revokedAt?: number;
}

/**
 * Written by every change of the set of subnets, and of what members' hosts need of the address space: a compare on it
 * makes overlap checks part of the transaction.
 */
export const SUBNET_GUARD = `${PREFIX}subnets/guard`;

export const keys = {
  cluster: `${PREFIX}cluster`,
  node: (nodeId: string) => `${PREFIX}nodes/${nodeId}`,
  nodeName: (name: string) => `${PREFIX}node-names/${name}`,
  live: (nodeId: string) => `${PREFIX}live/${nodeId}`,
  network: (networkId: string) => `${PREFIX}networks/${networkId}`,
  /** DNS knows no case, so two names that differ in it alone would be one. */
  networkName: (name: string) => `${PREFIX}network-names/${name.toLowerCase()}`,
  networkAck: (networkId: string, nodeId: string) => `${PREFIX}network-acks/${networkId}/${nodeId}`,
  networkAcks: (networkId: string) => `${PREFIX}network-acks/${networkId}/`,
  vni: (vni: number) => `${PREFIX}vnis/${vni}`,
  vnis: `${PREFIX}vnis/`,
  subnet: (cidr: string) => `${PREFIX}subnets/${cidr.replace('/', '_')}`,
  subnets: `${PREFIX}subnets/`,
  endpoint: ({ nodeId, id }: Pick<EndpointRecord, 'nodeId' | 'id'>) => `${PREFIX}endpoints/${nodeId}/${id}`,
  endpointsOf: (nodeId: string) => `${PREFIX}endpoints/${nodeId}/`,
  endpoints: `${PREFIX}endpoints/`,
  address: (networkId: string, ip: string) => `${PREFIX}addresses/${networkId}/${ip}`,
  addressesOn: (networkId: string) => `${PREFIX}addresses/${networkId}/`,
  addresses: `${PREFIX}addresses/`,
  mac: (networkId: string, mac: string) => `${PREFIX}macs/${networkId}/${mac}`,
  macs: (networkId: string) => `${PREFIX}macs/${networkId}/`,
  staticNames: (networkId: string) => `${PREFIX}dns/${networkId}`,
  quarantineOn: (networkId: string) => `${PREFIX}quarantine/${networkId}/`,
  quarantine: (networkId: string, address: string) => `${PREFIX}quarantine/${networkId}/${address}`,
  token: (id: string) => `${PREFIX}tokens/${id}`,
  tokens: `${PREFIX}tokens/`,
} as const;

/** Of each key, not of what several begin with: its first part, and how many follow. */
const SHAPES = new Set(
  Object.values(keys).flatMap((key) => {
    if (typeof key !== 'string') return [shapeOf(key('' as never, ''))];
    return key.endsWith('/') ? [] : [shapeOf(key)];
  }),
);

/** Whether records of this version have keys like this one. */
export function isKeyOfRecord(key: string): boolean {
  return key.startsWith(PREFIX) && SHAPES.has(shapeOf(key));
}

function shapeOf(key: string): string {
  const [kind, ...parts] = key.slice(PREFIX.length).split('/');
  return `${kind}/${parts.length}`;
}

/** What stands for an endpoint where one address has to do: of IPv4, where it has one. */
export function firstAddress({ addresses }: Pick<EndpointRecord, 'addresses'>): string {
  return addresses[0]!.ip;
}

/** All addresses, in words. */
export function addressList({ addresses }: Pick<EndpointRecord, 'addresses'>): string {
  return addresses.map(({ ip }) => ip).join(', ');
}

export function hasAddress({ addresses }: Pick<EndpointRecord, 'addresses'>, ip: string): boolean {
  return addresses.some((each) => each.ip === ip);
}
