/**
 * Services of networks: making and removing them by one transaction over the network, all that it has of them, and the addresses.
 * Who is behind one follows from the endpoints and is written nowhere (`core/service.ts`).
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { isThere, type Liveness } from '../../core/failure-detector.ts';
import { familyOf } from '../../core/ip.ts';
import { type AddressSpace, type Choice, checkAddress, chooseAddress, optionOf } from '../../core/ipam/address.ts';
import { requireLevel, SERVICE_LEVEL, unreadableRecord } from '../../core/levels.ts';
import { decodeNetwork, decodeServices } from '../../core/record-codec.ts';
import { type ClaimRecord, keys, type NetworkRecord, type QuarantineRecord } from '../../core/records.ts';
import {
  type Backend,
  backendsOf,
  refuseService,
  serviceClaims,
  serviceName,
  withService,
} from '../../core/service.ts';
import type { ServiceRecord, ServicesRecord } from '../../core/service-records.ts';
import { familiesOf } from '../../core/subnets.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ClusterStore, Compare, StoreEntry } from '../../ports/store.ts';
import type { AddressClaims } from '../claims/address-claims.ts';
import type { Networks } from '../networks/networks.ts';
import { type Change, type Commit, unchanged } from '../view/commit.ts';

export interface ServicesDeps {
  readonly store: Pick<ClusterStore, 'get' | 'grantLease'>;
  readonly commit: Commit;
  readonly view: ClusterView;
  readonly networks: Pick<Networks, 'find' | 'list'>;
  readonly claims: Pick<AddressClaims, 'space'>;
  readonly liveness: (nodeId: string) => Liveness;
  /** Resolves when this host's kernel has what is said of the network. */
  readonly converge: (networkId: string) => Promise<void>;
  readonly selfId: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Pick<Random, 'hex' | 'next'>;
  readonly logger: Pick<Logger, 'info'>;
}

export interface ServiceRequest {
  readonly network: string;
  readonly alias: string;
  /** Undefined: automatic. */
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
  /** The network's option asks. */
  readonly automatic?: true | undefined;
}

export interface ListedService {
  readonly network: NetworkRecord;
  readonly service: ServiceRecord;
  readonly backends: readonly Backend[];
}

const ATTEMPTS = 32;
/** Of an address that was a service's for moments. */
const RESTING_SECONDS = 60;
/** Losers choose among so many addresses more each time. */
const SPREAD = 4;

/**
 * Throws `network-not-found`, `version-mismatch` below level 5, `invalid-name`, `name-in-use`, `network-full`, and what
 * `chooseAddress` and `checkAddress` throw; `address-out-of-range` where the network has no subnet of a family that is asked for.
 */
export async function createService(deps: ServicesDeps, request: ServiceRequest): Promise<ListedService> {
  const name = serviceName(request.alias);
  const lost = new Set<string>();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await read(deps, request.network, 'no service can be made there');
    const { network } = found;
    requireLevel(SERVICE_LEVEL, deps.view.level ?? 1, deps.view.nodes(), 'services');
    refuseService(network);
    refuseStaticName(deps.view, network, name);
    const choices = choose(deps, network, request, lost, Math.floor(deps.random.next() * SPREAD * attempt));
    const service: ServiceRecord = {
      id: deps.random.hex(32),
      name,
      addresses: choices.map(({ subnet, address }) => ({ subnet, ip: address })),
      createdAt: deps.clock.now(),
      ...(request.automatic && { automatic: true }),
    };
    const services = withService(found.record?.services ?? [], service, network.name);
    const resting = await Promise.all(
      choices.map(({ address }) => deps.store.get(keys.quarantine(network.id, address))),
    );
    const claims = serviceClaims(network.id, service);
    const committed = await deps.commit(
      [
        ...found.compares,
        ...claims.map(({ key }): Compare => ({ kind: 'absent', key })),
        ...choices.map(({ address }, at) => unchanged(keys.quarantine(network.id, address), resting[at])),
      ],
      [
        { kind: 'put', key: found.key, record: { ...found.record, networkId: network.id, services } },
        ...claims.map(({ key, record }): Change => ({ kind: 'put', key, record })),
        ...resting.flatMap((entry): Change[] => (entry ? [{ kind: 'delete', key: entry.key }] : [])),
      ],
    );
    if (!committed) {
      const taken = await Promise.all(claims.map(({ key }) => deps.store.get(key)));
      for (const [at, entry] of taken.entries()) if (entry) lost.add(choices[at]!.address);
      continue;
    }
    const addresses = service.addresses.map(({ ip }) => ip);
    deps.logger.info({ event: 'service-created', network: network.name, service: name, addresses }, 'service created');
    try {
      await Promise.all([committed.told, deps.converge(network.id)]);
    } catch (error) {
      // Whole or not at all: who tries again finds nothing in the way.
      const undone = { quarantineSeconds: RESTING_SECONDS, id: service.id };
      await removeService(deps, { network: network.id, alias: name }, undone).catch(() => undefined);
      throw error;
    }
    return listed(deps, network, service);
  }
  throw busy(name);
}

/**
 * What there was. Its addresses rest for a while, as those of endpoints do. `id`: that one alone. Throws `network-not-found`,
 * `name-not-found`, and `conflict` for one that nobody asked for by name.
 */
export async function removeService(
  deps: ServicesDeps,
  { network: ref, alias }: Pick<ServiceRequest, 'network' | 'alias'>,
  { quarantineSeconds, id }: { readonly quarantineSeconds: number; readonly id?: string },
): Promise<ListedService> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { network, key, record, compares } = await read(deps, ref, 'its services cannot be changed here');
    const service = find(record, network, alias);
    if (id === undefined ? service.automatic : service.id !== id) throw notOurs(network, service);
    const rest = record!.services.filter((each) => each !== service);
    const claims = serviceClaims(network.id, service);
    const found = await Promise.all(claims.map(({ key: claim }) => deps.store.get(claim)));
    const own = found.filter((entry) => entry !== undefined && isOf(entry, claims[0]!.record));
    const lease = await deps.store.grantLease(quarantineSeconds);
    const resting: QuarantineRecord = { releasedAt: deps.clock.now(), by: deps.selfId, clean: true };
    const committed = await deps.commit(
      [...compares, ...own.map((entry) => unchanged(entry!.key, entry))],
      [
        rest.length === 0 ? { kind: 'delete', key } : { kind: 'put', key, record: { ...record, services: rest } },
        ...own.map((entry): Change => ({ kind: 'delete', key: entry!.key })),
        ...service.addresses.map(
          ({ ip }): Change => ({ kind: 'put', key: keys.quarantine(network.id, ip), record: resting, lease }),
        ),
      ],
    );
    if (!committed) continue;
    deps.logger.info({ event: 'service-removed', network: network.name, service: service.name }, 'service removed');
    await Promise.all([committed.told, deps.converge(network.id)]);
    return { network, service, backends: [] };
  }
  throw busy(alias);
}

/** Throws `network-not-found`, `name-not-found`. */
export async function getService(deps: ServicesDeps, ref: string, alias: string): Promise<ListedService> {
  const network = await deps.networks.find(ref);
  return listed(deps, network, find(deps.view.services(network.id), network, alias));
}

/** Of a network, or of all, by network and name. */
export async function listServices(deps: ServicesDeps, ref: string | undefined): Promise<ListedService[]> {
  const networks = ref === undefined ? deps.networks.list() : [await deps.networks.find(ref)];
  return networks.flatMap((network) => {
    const services = deps.view.services(network.id)?.services ?? [];
    return services.map((service) => listed(deps, network, service));
  });
}

function listed(deps: ServicesDeps, network: NetworkRecord, service: ServiceRecord): ListedService {
  const silent = [...deps.view.nodes()].filter(({ id }) => !isThere(deps.liveness(id))).map(({ id }) => id);
  const of = backendsOf({ view: deps.view, hidden: new Set(silent) }, network.id, new Set([service.name]));
  return { network, service, backends: of.get(service.name) ?? [] };
}

function notOurs({ name: network }: NetworkRecord, { name }: ServiceRecord): OverlaydError {
  return new OverlaydError(
    'conflict',
    `service ${name} of network ${network} is there because the network was made with -o vip=true, and goes after its last container: disconnect those, or start them without the alias`,
  );
}

function find(record: ServicesRecord | undefined, network: NetworkRecord, alias: string): ServiceRecord {
  const service = record?.services.find(({ name }) => name === alias.toLowerCase());
  if (service) return service;
  throw new OverlaydError(
    'name-not-found',
    `network ${network.name} has no service ${alias}; \`overlayd service ls\` lists those that there are`,
  );
}

/** As etcd has it now. */
async function read({ store, networks }: ServicesDeps, ref: string, what: string) {
  const { id, name } = await networks.find(ref);
  const key = keys.services(id);
  const [held, of] = await Promise.all([store.get(key), store.get(keys.network(id))]);
  const network = of && decodeNetwork(of.value);
  if (of && !network) throw unreadableRecord(of.key, `network ${name}: ${what}`);
  if (!of || network?.state !== 'active') {
    throw new OverlaydError('network-not-found', `network ${name} not found: it has just been removed`);
  }
  const record = held && decodeServices(held.value);
  if (held && !record) throw unreadableRecord(key, `services of network ${name}: ${what}`);
  const compares: Compare[] = [{ kind: 'revision', key: of.key, revision: of.revision }, unchanged(key, held)];
  return { network, key, record, compares };
}

/** One of each family that the network has. */
function choose(
  { claims, view }: ServicesDeps,
  network: NetworkRecord,
  request: ServiceRequest,
  lost: ReadonlySet<string>,
  skip: number,
): Choice[] {
  const families = familiesOf(network);
  for (const family of [4, 6] as const) {
    const asked = request[optionOf(family)];
    if (asked === undefined || families.includes(family)) continue;
    throw new OverlaydError(
      'address-out-of-range',
      `requested address ${asked} is out of range: network ${network.name} has no IPv${familyOf(asked) ?? family} subnet; leave out --${optionOf(family)}, or give it one (overlayd network subnet add ${network.name} CIDR)`,
    );
  }
  return families.map((family) => {
    const all = claims.space(network, family);
    const pending = { has: (address: string) => all.pending.has(address) || lost.has(address) };
    const space: AddressSpace = { ...all, pending };
    const asked = request[optionOf(family)];
    const holder = (nodeId: string) => view.node(nodeId)?.name ?? nodeId.slice(0, 12);
    return asked === undefined ? chooseAddress(space, network.name, skip) : checkAddress(space, asked, holder);
  });
}

function refuseStaticName(view: ClusterView, network: NetworkRecord, name: string): void {
  if (!view.staticNames(network.id)?.sets.some((set) => set.name === name)) return;
  throw new OverlaydError(
    'name-in-use',
    `${name} is a static name of network ${network.name}; remove it first (overlayd dns rm ${network.name} ${name}), or choose another alias`,
  );
}

function isOf({ value }: StoreEntry, claim: ClaimRecord): boolean {
  return (JSON.parse(value) as ClaimRecord).endpointId === claim.endpointId;
}

function busy(name: string): OverlaydError {
  return new OverlaydError('conflict', `service ${name}: too many changes at once; try again`, { retryable: true });
}
