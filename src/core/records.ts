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
  /** Whether networks are encrypted that do not say otherwise, or all of them. Absent: those that say so. */
  readonly encryption?: 'default' | 'required';
  /** How many hosts shall keep the store: 1, 3 or 5 (docs/adr/0022-the-store-has-members.md). Absent: 1. */
  readonly storeMembers?: number;
  /** Which life of the store this is (docs/adr/0023-a-store-that-went-back-says-so.md). Absent: it was made before there were epochs. */
  readonly epoch?: string;
  /** While the CA is replaced: the one that comes (docs/adr/0024-a-node-writes-what-is-its-own.md). */
  readonly nextCaCertificate?: string;
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
  /** Set with `left` when somebody else takes the node off the list: it may never hear that its record is gone. */
  readonly removed?: true;
  /** This node's etcd is one of the cluster's that votes: it can be asked. Absent on the others, and in records of versions that did not say it. */
  readonly holdsStore?: true;
  /** It could run a member of the store: with which etcd. Absent: it cannot, or is of before there were members. */
  readonly store?: StoreOffer;
  /** In words, why it could not, though it has etcd. */
  readonly storeProblem?: string;
  /** SHA-256 (hex) of the CA certificates that it trusts, and of the one that signed its own. Absent: the cluster's only one. */
  readonly trusts?: readonly string[];
  readonly certifiedBy?: string;
  /** Of its agent. Absent in records of before there were levels, as `levels`: 1 alone. */
  readonly version?: string;
  readonly levels?: LevelRange;
  /** Behind NAT: reached by those alone whom it calls; others may have its addresses. Known from its admission on. */
  readonly nat?: true;
  /** What it has for encrypted networks. Absent: nothing, or the cluster does not speak of it yet. */
  readonly wireguard?: WireguardOffer;
}

export interface StoreOffer {
  /** Of the `etcd` binary, e.g. `3.5.16`. */
  readonly version: string;
}

/** The one change of the store's members that is under way. */
export interface StoreChange {
  readonly kind: 'add' | 'remove';
  readonly nodeId: string;
  /** In words. */
  readonly why: string;
  /** Node id. */
  readonly by: string;
  readonly startedAt: number;
  /** It is to vote. Absent with `add`: it stays a learner for now. */
  readonly votes?: true;
  /** With `add`, once etcd has it: where the members reach each other (`https://ADDRESS:2380`), its own included. */
  readonly peerUrls?: readonly string[];
}

/**
 * Who keeps the store and holds the CA's key: root in etcd. Only such can write this record, so that it says it and not the
 * node's own one (docs/adr/0024-a-node-writes-what-is-its-own.md).
 */
export interface KeepersRecord {
  /** In order; those that vote. */
  readonly nodeIds: readonly string[];
  /** That have a copy and no vote: they cannot be asked, and are no keepers. Absent: none. */
  readonly learners?: readonly string[];
  /** Nodes of which a person said that they are to keep the store (`node promote`), or are not to (`node demote`). Absent: none. */
  readonly promoted?: readonly string[];
  readonly demoted?: readonly string[];
}

/** Records are being copied out of the store, or into it: until that has ended nobody writes there, nor believes what it says. */
export interface StoreGate {
  readonly kind: 'restore' | 'move';
  /** Of a move: the store that is left, which is right until it says where to. */
  readonly leaving?: true;
  /** Node id. */
  readonly by: string;
  readonly startedAt: number;
  /** Of what it becomes. */
  readonly epoch: string;
}

/** In a store that was left, beside its gate: where its cluster went. */
export interface StoreMoved {
  readonly epoch: string;
  /** As a member that joins is told it; empty: with the node's own certificate. PEM. */
  readonly endpoints: readonly string[];
  readonly caCertificate: string;
  readonly certificate: string;
  readonly key: string;
}

export interface WireguardOffer {
  /** `kernel`, `wireguard-go`, or a word of a newer version: it is shown, and nothing depends on it. */
  readonly backend: string;
  /** One; while a key is exchanged two, of which the others send to the first. */
  readonly keys: readonly WireguardKey[];
  /** Of a node behind NAT: public keys of others that are, and to which it gets through by a relay alone. Absent: none. */
  readonly unreached?: readonly string[];
  /** Of a node behind NAT: by which nodes it does not get through to which key, though they relay. Absent: none. */
  readonly avoided?: readonly { readonly key: string; readonly relay: string }[];
  /** Of a node that passes packets on between such two, or would at once. Absent: it does not. */
  readonly relays?: readonly WireguardRelay[];
}

export interface WireguardRelay {
  /** Public keys of two nodes, in order. */
  readonly between: readonly [string, string];
  /** UDP, at this node's VTEP: where the first sends what is for the second, and the other way round. */
  readonly ports: readonly [number, number];
}

export interface WireguardKey {
  /** Base64 of 32 bytes. */
  readonly publicKey: string;
  /** The last two bytes of its addresses inside of the tunnels. */
  readonly number: number;
  /** UDP, where this host listens. */
  readonly port: number;
  /** Of a node behind NAT: `host:port` from which members outside see it come. */
  readonly seenAt?: string;
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
  /** This agent answers packets that see whether the data path works: plain, as of encrypted networks, with a network's own number. */
  readonly answersProbes?: true;
  readonly answersEncrypted?: true;
  readonly answersNetworks?: true;
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
  /** As its container engine says, by a check of the container's own. Absent: well, or nobody checks. */
  readonly health?: 'unhealthy';
  /** What asked for it, as listings show it: `docker`, `podman`, `netns`, … Absent in records of before it was said. */
  readonly tool?: string;
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

/** Whose an address is, or a MAC (which has no key where it follows from an IPv4 address). A service's: its id, and no node. */
export type ClaimRecord = Readonly<Record<'endpointId' | 'nodeId', string>>;

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
  /** The name of the only host that may join with it. Absent: any. */
  readonly node?: string;
  /** Who joined with it, the last ones, the newest last. Absent: nobody, or below level 4. */
  readonly uses?: readonly TokenUse[];
  /** Kept for a while after `revoke`, so that whoever still tries the token is told. */
  readonly revokedAt?: number;
}

export interface TokenUse {
  readonly nodeId: string;
  readonly name: string;
  /** Address that it came from. */
  readonly from: string;
  readonly at: number;
}

/**
 * Written by every change of the set of subnets, and of what members' hosts need of the address space: a compare on it
 * makes overlap checks part of the transaction.
 */
export const SUBNET_GUARD = `${PREFIX}subnets/guard`;

export const keys = {
  cluster: `${PREFIX}cluster`,
  node: (nodeId: string) => `${PREFIX}nodes/${nodeId}`,
  nodes: `${PREFIX}nodes/`,
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
  services: (networkId: string) => `${PREFIX}services/${networkId}`,
  quarantineOn: (networkId: string) => `${PREFIX}quarantine/${networkId}/`,
  quarantine: (networkId: string, address: string) => `${PREFIX}quarantine/${networkId}/${address}`,
  storeChange: `${PREFIX}store/change`,
  /** There while records are copied from one store to another: every transaction compares its absence. */
  storeGate: `${PREFIX}store/gate`,
  storeMoved: `${PREFIX}store/moved`,
  storeKeepers: `${PREFIX}store/keepers`,
  wireguard: (number: number) => `${PREFIX}wireguard/${number}`,
  wireguards: `${PREFIX}wireguard/`,
  certificates: (nodeId: string) => `${PREFIX}certificates/${nodeId}`,
  allCertificates: `${PREFIX}certificates/`,
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
