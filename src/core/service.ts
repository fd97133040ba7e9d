/**
 * Service addresses (docs/adr/0027-a-service-is-an-address.md): an alias of a network has an address of its own, of each of the
 * network's families, behind which are all that go by the alias. Who that is follows from the endpoints as they are; the record
 * says the name and the addresses alone. Pure.
 */
import type { ClusterView } from './cluster-view.ts';
import { namesOf } from './dns/names-protocol.ts';
import { OverlaydError } from './errors.ts';
import { type Family, familyOfAddress } from './ip.ts';
import { whyNotAt } from './ipam/address.ts';
import { checkEndpointName } from './names.ts';
import { networkSettings } from './network-options.ts';
import { type ClaimRecord, type EndpointRecord, keys, type NetworkRecord } from './records.ts';
import type { ServiceRecord, ServicesRecord } from './service-records.ts';

/** More would be more than a table in the kernel should be written anew for. */
export const MOST_SERVICES = 256;

/** As names are asked for. Throws `invalid-name`. */
export function serviceName(text: string): string {
  return checkEndpointName(text, 'alias').toLowerCase();
}

/** Throws `invalid-argument` where containers of the network do not reach each other: then no address would lead to them. */
export function refuseService(network: NetworkRecord): void {
  if (networkSettings(network).betweenContainers) return;
  throw new OverlaydError(
    'invalid-argument',
    `network ${network.name} keeps its containers apart (enable_icc=false), so no address leads from one to others; create the service on another network`,
  );
}

/** What the network has then. Throws `name-in-use`, `network-full`. */
export function withService(held: readonly ServiceRecord[], added: ServiceRecord, network: string): ServiceRecord[] {
  const same = held.find(({ name }) => name === added.name);
  if (same) {
    throw new OverlaydError(
      'name-in-use',
      `service ${same.name} of network ${network} is there already, at ${same.addresses.map(({ ip }) => ip).join(', ')}; remove it first (overlayd service rm ${network} ${same.name}), or choose another alias`,
    );
  }
  if (held.length >= MOST_SERVICES) {
    throw new OverlaydError(
      'network-full',
      `network ${network} has ${MOST_SERVICES} services and can have no more; remove one (overlayd service rm), or use another network`,
    );
  }
  return [...held, added].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Of its addresses: what keeps others from them. */
export function serviceClaims(networkId: string, { id, addresses }: ServiceRecord) {
  const record: ClaimRecord = { endpointId: id, nodeId: '' };
  return addresses.map(({ ip }) => ({ key: keys.address(networkId, ip), record }));
}

/** One that is behind a service, or would be. */
export interface Backend {
  readonly endpoint: EndpointRecord;
  /** Of the family in question. */
  readonly address: string;
  /** In words, why nothing is sent there; undefined: it is. */
  readonly out: 'unhealthy' | 'host not heard' | undefined;
}

export interface BackendsInput {
  readonly view: Pick<ClusterView, 'addresses'>;
  /** Whose host does not answer. */
  readonly hidden: ReadonlySet<string>;
}

/** All that go by one of the names, by name, in the order of their addresses as the view has them. Each endpoint is looked at once. */
export function backendsOf(
  { view, hidden }: BackendsInput,
  networkId: string,
  names: ReadonlySet<string>,
): ReadonlyMap<string, Backend[]> {
  const byName = new Map<string, Backend[]>([...names].map((name) => [name, []]));
  for (const [address, endpoint] of view.addresses(networkId)) {
    for (const name of namesOf(endpoint)) {
      const backends = byName.get(name);
      if (!backends) continue;
      const out = hidden.has(endpoint.nodeId)
        ? 'host not heard'
        : endpoint.health === 'unhealthy'
          ? 'unhealthy'
          : undefined;
      backends.push({ endpoint, address, out });
    }
  }
  return byName;
}

/** What this host's kernel has of a service. */
export interface DesiredService {
  readonly name: string;
  readonly addresses: readonly string[];
  /** Of both families: all that are behind it, to which there may be connections. */
  readonly members: readonly string[];
  /** Those of them to which something new is sent. Another order on each host. */
  readonly backends: readonly string[];
}

/** `selfId` decides with whom a host begins: many hosts that ask once each do not all ask the same one. */
export function desiredServices(input: BackendsInput, record: ServicesRecord, selfId: string): DesiredService[] {
  const { networkId, services } = record;
  if (services.length === 0) return [];
  const byName = backendsOf(input, networkId, new Set(services.map(({ name }) => name)));
  return services.map(({ name, addresses }) => {
    const all = byName.get(name) ?? [];
    // Somebody who alone is unwell is better than nobody.
    const well = all.filter(({ out }) => out === undefined);
    const used = well.length > 0 ? well : all.filter(({ out }) => out === 'unhealthy');
    return {
      name,
      addresses: addresses.map(({ ip }) => ip),
      members: all.map(({ address }) => address).sort(),
      backends: rotated(used.map(({ address }) => address).sort(), selfId),
    };
  });
}

/**
 * Those of a network that count. Every member may write the record: one at an address that is none for containers of the network, or
 * at which a container is, would take what is sent to others.
 */
export function soundServices(
  view: Pick<ClusterView, 'addresses' | 'services'>,
  network: Pick<NetworkRecord, 'id' | 'name' | 'subnets'>,
): readonly ServiceRecord[] {
  const services = view.services(network.id)?.services ?? [];
  if (services.length === 0) return services;
  const held = view.addresses(network.id);
  return services.filter(
    (service) => whyNotAt(network, service) === undefined && !service.addresses.some(({ ip }) => held.has(ip)),
  );
}

/** What was made last, by the record of the network's services. */
const servicesMade = new WeakMap<
  ServicesRecord,
  {
    readonly moment: number;
    readonly network: NetworkRecord;
    readonly hidden: ReadonlySet<string>;
    readonly services: readonly DesiredService[];
  }
>();
const NO_SERVICES: readonly DesiredService[] = [];

/** The same array as long as it is made of the same. */
export function servicesOf(
  view: Pick<ClusterView, 'addresses' | 'moment' | 'services'>,
  network: NetworkRecord,
  hidden: ReadonlySet<string>,
  selfId: string,
): readonly DesiredService[] {
  const record = view.services(network.id);
  if (!record) return NO_SERVICES;
  const moment = view.moment(network.id);
  const last = servicesMade.get(record);
  if (last?.moment === moment && last.network === network && last.hidden === hidden) return last.services;
  const made = desiredServices({ view, hidden }, { ...record, services: soundServices(view, network) }, selfId);
  const services = last && JSON.stringify(last.services) === JSON.stringify(made) ? last.services : made;
  servicesMade.set(record, { moment, network, hidden, services });
  return services;
}

/** Those of a family. */
export function ofFamily(addresses: readonly string[], family: Family): string[] {
  return addresses.filter((address) => familyOfAddress(address) === family);
}

function rotated(all: readonly string[], selfId: string): string[] {
  if (all.length < 2) return [...all];
  const start = Number.parseInt(selfId.slice(-6), 16) % all.length || 0;
  return [...all.slice(start), ...all.slice(0, start)];
}
