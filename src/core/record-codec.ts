/**
 * Records as text and back. A value that does not have the shape of its key's record is refused as a whole: one
 * bad key, written by hand or by a newer version, must not break the rest. Fields that this version does not know stay in
 * the value: who writes a record again writes the one that was read, with fields replaced.
 */
import { parseCidr } from './cidr.ts';
import { samePorts } from './endpoint-ports.ts';
import { isCanonicalIp, parseIp } from './ip.ts';
import type { CertificatesRecord } from './issued.ts';
import type {
  ClaimRecord,
  ClusterRecord,
  EndpointRecord,
  KeepersRecord,
  LiveRecord,
  NeededAddress,
  NetworkRecord,
  NodeRecord,
  QuarantineRecord,
  StaticNamesRecord,
  StoreChange,
  StoreGate,
  StoreMoved,
  SubnetSpec,
  TokenRecord,
  WireguardKey,
} from './records.ts';
import type { ServicesRecord } from './service-records.ts';
import { isWireguardNumber } from './wireguard/addresses.ts';

type Check = (value: unknown) => boolean;

const string: Check = (value) => typeof value === 'string';
const number: Check = (value) => typeof value === 'number' && Number.isFinite(value);
/** Of TCP or UDP. One that is none would have the whole of a host's rules refused. */
const port: Check = (value) => typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536;
const boolean: Check = (value) => typeof value === 'boolean';
/** Of either family, in the one form that is a key. */
const ip: Check = (value) => typeof value === 'string' && isCanonicalIp(value);
const cidr: Check = (value) => typeof value === 'string' && parseCidr(value)?.ip.family === 4;
const ipv6Cidr: Check = (value) => typeof value === 'string' && parseCidr(value)?.ip.family === 6;
const mac: Check = (value) => typeof value === 'string' && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(value);
const arrayOf =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item);
const mapOf =
  (item: Check): Check =>
  (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(item);
const optional =
  (item: Check): Check =>
  (value) =>
    value === undefined || item(value);
const shape = (fields: Record<string, Check>): Check => {
  // Once, and not for each of ten thousand records.
  const checks = Object.entries(fields);
  return (value) => {
    if (typeof value !== 'object' || value === null) return false;
    for (const [name, check] of checks) if (!check((value as Record<string, unknown>)[name])) return false;
    return true;
  };
};

const decoder =
  <T>(check: Check) =>
  (text: string): T | undefined => {
    try {
      const value: unknown = JSON.parse(text);
      return check(value) ? (value as T) : undefined;
    } catch {
      return undefined;
    }
  };

export function encodeRecord(record: object): string {
  return JSON.stringify(record);
}

/**
 * The level that a cluster's record says, even where this version can read nothing else of it; undefined when it says none.
 * This much of the record never changes.
 */
export const readLevel = (text: string): number | undefined =>
  decoder<{ readonly level?: number }>(shape({ level: optional(number) }))(text)?.level;

/** The epoch that a cluster's record says; undefined when it says none. */
export const readEpoch = (text: string): string | undefined =>
  decoder<{ readonly epoch?: string }>(shape({ epoch: optional(string) }))(text)?.epoch;

export const decodeCluster = decoder<ClusterRecord>(
  shape({
    id: string,
    caCertificate: string,
    pools: arrayOf(shape({ base: cidr, prefix: number })),
    vniRange: arrayOf(number),
    ulaPrefix: optional(ipv6Cidr),
    createdAt: number,
    level: optional(number),
    // A word that only a newer version knows must not be taken for none.
    encryption: optional((value) => value === 'default' || value === 'required'),
    storeMembers: optional(number),
    epoch: optional(string),
    nextCaCertificate: optional(string),
  }),
);

const pair =
  (check: Check): Check =>
  (value) =>
    arrayOf(check)(value) && (value as unknown[]).length === 2;

const wireguardKey: Check = (value) =>
  shape({ publicKey: string, number, port, seenAt: optional(string) })(value) &&
  /^[A-Za-z0-9+/]{43}=$/.test((value as WireguardKey).publicKey) &&
  isWireguardNumber((value as WireguardKey).number);

export const decodeNode = decoder<NodeRecord>(
  shape({
    id: string,
    name: string,
    advertiseAddress: string,
    gossipPort: port,
    joinPort: port,
    vtep: ip,
    dataPathPort: port,
    keyFingerprint: string,
    underlayMtu: number,
    underlayLimit: optional(string),
    hostRoutes: arrayOf(string),
    hasIpv6: optional(boolean),
    addressProblem: optional(string),
    linkRoutes: optional(arrayOf(string)),
    neededAddresses: optional(arrayOf(shape({ address: string, what: string }))),
    labels: mapOf(string),
    joinedAt: number,
    left: boolean,
    removed: optional((value) => value === true),
    holdsStore: optional((value) => value === true),
    store: optional(shape({ version: string })),
    storeProblem: optional(string),
    trusts: optional(arrayOf(string)),
    certifiedBy: optional(string),
    version: optional(string),
    levels: optional(shape({ from: number, to: number })),
    wireguard: optional(
      shape({
        backend: string,
        keys: (value) => arrayOf(wireguardKey)(value) && (value as unknown[]).length > 0,
        unreached: optional(arrayOf(string)),
        avoided: optional(arrayOf(shape({ key: string, relay: string }))),
        relays: optional(arrayOf(shape({ between: pair(string), ports: pair(port) }))),
      }),
    ),
    nat: optional((value) => value === true),
  }),
);

export const decodeStoreChange = decoder<StoreChange>(
  shape({
    kind: (value) => value === 'add' || value === 'remove',
    nodeId: string,
    why: string,
    by: string,
    startedAt: number,
    votes: optional((value) => value === true),
    peerUrls: optional(arrayOf(string)),
  }),
);

export const decodeKeepers = decoder<KeepersRecord>(
  shape({
    nodeIds: arrayOf(string),
    learners: optional(arrayOf(string)),
    promoted: optional(arrayOf(string)),
    demoted: optional(arrayOf(string)),
  }),
);

export const decodeCertificates = decoder<CertificatesRecord>(
  shape({ issued: arrayOf(shape({ serial: string, notAfter: number, revoked: optional(boolean) })) }),
);

export const decodeStoreGate = decoder<StoreGate>(
  shape({
    kind: (value) => value === 'restore' || value === 'move',
    leaving: optional((value) => value === true),
    by: string,
    startedAt: number,
    epoch: string,
  }),
);

export const decodeStoreMoved = decoder<StoreMoved>(
  shape({ epoch: string, endpoints: arrayOf(string), caCertificate: string, certificate: string, key: string }),
);

/** The node with these fields replaced, each in its place; what is undefined of them goes. */
export function nodeWith(
  held: NodeRecord,
  fields: { [Name in keyof NodeRecord]?: NodeRecord[Name] | undefined },
): NodeRecord {
  const { levels, neededAddresses, store } = fields;
  const sameNeed = (need: NeededAddress) =>
    held.neededAddresses?.find(({ address, what }) => address === need.address && what === need.what);
  const all = {
    ...held,
    ...fields,
    ...(levels && { levels: { ...held.levels, ...levels } }),
    ...(store && { store: { ...held.store, ...store } }),
    ...(neededAddresses && { neededAddresses: neededAddresses.map((need) => ({ ...sameNeed(need), ...need })) }),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as NodeRecord;
}

/** The same of an endpoint, for the one that writes all its fields. */
export function endpointWith(held: EndpointRecord | undefined, record: EndpointRecord): EndpointRecord {
  const addresses = record.addresses.map((each) => ({ ...held?.addresses.find(({ ip }) => ip === each.ip), ...each }));
  const ports = record.ports?.map((each) => ({ ...held?.ports?.find((other) => samePorts([other], [each])), ...each }));
  return { ...held, ...record, addresses, ...(ports && { ports }) };
}

export const decodeLive = decoder<LiveRecord>(
  shape({
    ...{ nodeId: string, bootId: string, startedAt: number },
    ...{ answersProbes: optional((value) => value === true), answersEncrypted: optional((value) => value === true) },
    answersNetworks: optional((value) => value === true),
  }),
);

/** Of either family, and all of one. */
const subnet: Check = (value) => {
  const whole = { cidr: string, gateway: string, ipRange: optional(string), auxAddresses: mapOf(string) };
  if (!shape(whole)(value)) return false;
  const { cidr: block, gateway, ipRange, auxAddresses } = value as SubnetSpec;
  const family = parseCidr(block)?.ip.family;
  return (
    family !== undefined &&
    [gateway, ...Object.values(auxAddresses)].every((each) => parseIp(each)?.family === family) &&
    (ipRange === undefined || parseCidr(ipRange)?.ip.family === family)
  );
};

export const decodeNetwork = decoder<NetworkRecord>(
  shape({
    id: string,
    name: string,
    vni: number,
    subnets: (value) => arrayOf(subnet)(value) && (value as unknown[]).length > 0,
    internal: boolean,
    attachable: boolean,
    labels: mapOf(string),
    options: mapOf(string),
    createdAt: number,
    state: (value) => value === 'active' || value === 'deleting',
  }),
);

export const decodeEndpoint = decoder<EndpointRecord>(
  shape({
    id: string,
    networkId: string,
    nodeId: string,
    addresses: (value) => arrayOf(shape({ subnet: string, ip }))(value) && (value as unknown[]).length > 0,
    mac,
    name: string,
    aliases: arrayOf(string),
    createdAt: number,
    ports: optional(arrayOf(shape({ port: number, protocol: string, name: optional(string) }))),
    labels: optional(mapOf(string)),
    tool: optional(string),
    sticky: optional((value) => value === true),
    health: optional((value) => value === 'unhealthy'),
  }),
);

export const decodeServices = decoder<ServicesRecord>(
  shape({
    networkId: string,
    services: arrayOf(
      shape({
        id: string,
        name: string,
        addresses: arrayOf(shape({ subnet: string, ip })),
        createdAt: number,
        automatic: optional((value) => value === true),
      }),
    ),
  }),
);

export const decodeClaim = decoder<ClaimRecord>(shape({ endpointId: string, nodeId: string }));

export const decodeStaticNames = decoder<StaticNamesRecord>(
  shape({
    networkId: string,
    sets: arrayOf(shape({ name: string, type: string, values: arrayOf(string), ttlSeconds: optional(number) })),
  }),
);

export const decodeQuarantine = decoder<QuarantineRecord>(
  shape({
    releasedAt: number,
    by: string,
    clean: boolean,
    keptFor: optional(shape({ name: string, endpointId: string, restsUntil: optional(number) })),
  }),
);

export const decodeToken = decoder<TokenRecord>(
  shape({
    id: string,
    secretHash: string,
    role: (value) => value === 'member',
    createdAt: number,
    createdBy: string,
    expiresAt: optional(number),
    usesLeft: optional(number),
    node: optional(string),
    uses: optional(arrayOf(shape({ nodeId: string, name: string, from: string, at: number }))),
    revokedAt: optional(number),
  }),
);
