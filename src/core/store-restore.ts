/**
 * What a store holds once a backup has been put into it. Hosts, and what is connected on them, are as they are now, whatever
 * a backup says; what people made (networks, their numbers, subnets and names) is as the backup says. Pure.
 */
import {
  decodeClaim,
  decodeCluster,
  decodeEndpoint,
  decodeNetwork,
  decodeNode,
  decodeServices,
  encodeRecord,
} from './record-codec.ts';
import { type ClusterRecord, keys, type NodeRecord, PREFIX, SUBNET_GUARD } from './records.ts';
import { serviceClaims } from './service.ts';

export type Records = ReadonlyMap<string, string>;

/** As a node is to be written that keeps the store alone, or that does not keep it (`held`: as it was). */
function withStore({ holdsStore: _, ...held }: NodeRecord, keeperId: string | undefined): NodeRecord {
  return held.id === keeperId ? { ...held, holdsStore: true } : held;
}

/** Of the host and the cluster that go on. */
export interface Successor {
  readonly epoch: string;
  /** As it is known now: what the backup says of the level and of certificates may be older. */
  readonly cluster: Pick<ClusterRecord, 'level' | 'caCertificate' | 'nextCaCertificate'>;
  /** Node id: this host alone runs the etcd that is filled. Undefined: it is none of the hosts'. */
  readonly keeperId: string | undefined;
  /** This host, which the backup may lack. */
  readonly self: NodeRecord;
}

/** The cluster's records in a store that takes the place of one that is lost, or left: all that there were. */
export function succeeding(records: Records, { cluster, epoch, keeperId, self }: Successor): Map<string, string> {
  const next = new Map<string, string>();
  for (const [key, value] of records) {
    const node = isBelow(key, 'nodes') ? decodeNode(value) : undefined;
    next.set(key, node ? encodeRecord(withStore(node, keeperId)) : value);
  }
  const own = decodeNode(records.get(keys.node(self.id)) ?? '');
  next.set(keys.node(self.id), encodeRecord(withStore({ ...self, ...own, left: false }, keeperId)));
  next.set(keys.nodeName(own?.name ?? self.name), self.id);
  if (keeperId !== undefined) next.set(keys.storeKeepers, encodeRecord({ nodeIds: [keeperId] }));
  return withCluster(next, records, epoch, cluster);
}

/**
 * The records of a store that runs, as a backup has them. Endpoints of hosts that are away now come back where nobody has
 * their addresses: their hosts decide when they return. `isAway`: whether a node's agent is not heard.
 */
export function rolledBack(
  backup: Records,
  current: Records,
  epoch: string,
  isAway: (nodeId: string) => boolean,
): Map<string, string> {
  const next = new Map<string, string>();
  for (const [key, value] of backup) if (isMade(key)) next.set(key, value);
  const isOnNetwork = (key: string, at: number) => next.has(keys.network(partsOf(key)[at] ?? ''));
  for (const [key, value] of current) {
    const isKept = isOfHosts(key) || (isBelow(key, 'endpoints') && next.has(keys.network(networkOf(value))));
    const isClaim = isBelow(key, 'addresses') || isBelow(key, 'macs');
    // Those of services come with them.
    if (isKept || (isClaim && isOnNetwork(key, 1) && decodeClaim(value)?.nodeId !== '')) next.set(key, value);
  }
  for (const value of belowOf(backup, 'endpoints')) {
    const record = decodeEndpoint(value);
    if (!record || next.has(keys.endpoint(record)) || !next.has(keys.network(record.networkId))) continue;
    if (!next.has(keys.node(record.nodeId)) || !isAway(record.nodeId)) continue;
    const claims = [
      ...record.addresses.map(({ ip }) => keys.address(record.networkId, ip)),
      keys.mac(record.networkId, record.mac),
    ];
    if (claims.some((key) => next.has(key))) continue;
    next.set(keys.endpoint(record), value);
    for (const key of claims) {
      const claim = backup.get(key);
      if (claim !== undefined && decodeClaim(claim)?.endpointId === record.id) next.set(key, claim);
    }
  }
  withServices(next);
  for (const [key, value] of backup) {
    const [kind, networkId = '', address = ''] = partsOf(key);
    if (kind === 'quarantine' && next.has(keys.network(networkId)) && !next.has(keys.address(networkId, address)))
      next.set(key, value);
  }
  const cluster = decodeCluster(current.get(keys.cluster) ?? backup.get(keys.cluster) ?? '');
  return withCluster(next, backup, epoch, cluster ?? {});
}

/** What a new cluster takes over of another one's backup: its networks, with nobody on them. */
export function takenOver(backup: Records): Map<string, string> {
  const active = new Set<string>();
  for (const value of belowOf(backup, 'networks')) {
    const network = decodeNetwork(value);
    if (network?.state === 'active') active.add(network.id);
  }
  const next = new Map<string, string>();
  for (const [key, value] of backup) {
    const [kind = '', first = ''] = partsOf(key);
    const networkId = ['networks', 'dns', 'services', 'quarantine'].includes(kind) ? first : value;
    if (key === SUBNET_GUARD || (isMade(key) && key !== keys.cluster && active.has(networkId))) next.set(key, value);
  }
  withServices(next);
  return next;
}

/** Services whose addresses nobody has got meanwhile, with the claims of these. */
function withServices(next: Map<string, string>): void {
  for (const value of belowOf(next, 'services')) {
    const record = decodeServices(value);
    if (!record) continue;
    const services = record.services.filter((service) => {
      const claims = serviceClaims(record.networkId, service);
      if (claims.some(({ key }) => next.has(key))) return false;
      for (const { key, record } of claims) next.set(key, encodeRecord(record));
      return true;
    });
    if (services.length < record.services.length)
      next.set(keys.services(record.networkId), encodeRecord({ ...record, services }));
  }
}

/** Pools and the like of another cluster's backup, for the record of a new one. */
export function inherited(backup: Records): Partial<ClusterRecord> {
  const cluster = decodeCluster(backup.get(keys.cluster) ?? '');
  if (!cluster) return {};
  const { pools, vniRange, ulaPrefix, encryption } = cluster;
  return { pools, vniRange, ...(ulaPrefix && { ulaPrefix }), ...(encryption && { encryption }) };
}

/** Networks of the second with nothing of the first, by name: what is connected to them has no place any more. */
export function lostNetworks(next: Records, current: Records): readonly string[] {
  const names = belowOf(current, 'networks').flatMap((value) => {
    const network = decodeNetwork(value);
    return network && network.state === 'active' && !next.has(keys.network(network.id)) ? [network.name] : [];
  });
  return names.sort();
}

function withCluster(
  next: Map<string, string>,
  backup: Records,
  epoch: string,
  known: Partial<Successor['cluster']>,
): Map<string, string> {
  const held = JSON.parse(backup.get(keys.cluster) ?? '{}') as ClusterRecord;
  const { level, caCertificate, nextCaCertificate } = known;
  const { nextCaCertificate: _, ...kept } = held;
  const record: ClusterRecord = {
    ...kept,
    ...(caCertificate !== undefined && { caCertificate }),
    ...(nextCaCertificate !== undefined && { nextCaCertificate }),
    level: Math.max(held.level ?? 1, level ?? 1),
    epoch,
  };
  next.set(keys.cluster, encodeRecord(record));
  return next;
}

function partsOf(key: string): readonly string[] {
  return key.slice(PREFIX.length).split('/');
}

function isBelow(key: string, kind: string): boolean {
  return key.startsWith(`${PREFIX}${kind}/`);
}

function belowOf(records: Records, kind: string): string[] {
  return [...records].flatMap(([key, value]) => (isBelow(key, kind) ? [value] : []));
}

function networkOf(value: string): string {
  return decodeEndpoint(value)?.networkId ?? '';
}

/** What people make. */
function isMade(key: string): boolean {
  return ![
    'nodes',
    'node-names',
    'live',
    'tokens',
    'certificates',
    'wireguard',
    'store',
    'endpoints',
    'addresses',
    'macs',
    'quarantine',
    'network-acks',
  ].includes(partsOf(key)[0] ?? '');
}

/** What hosts are, and what lets them in. */
function isOfHosts(key: string): boolean {
  return ['nodes', 'node-names', 'live', 'tokens', 'certificates', 'wireguard', 'store'].includes(
    partsOf(key)[0] ?? '',
  );
}
