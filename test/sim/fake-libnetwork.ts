/**
 * What Docker's libnetwork asks of remote drivers, in its order, and what it makes of the answers: strict where it is
 * strict (what was given may not be answered, links must exist, gateways must be on-link, no route twice), deaf where it
 * is deaf (whatever DeleteNetwork, Leave, DeleteEndpoint and ReleaseAddress say).
 */
import { contains, formatCidr, parseCidr } from '../../src/core/cidr.ts';
import {
  type CreateNetworkCall,
  type JoinAnswer,
  LOCAL_ADDRESS_SPACE,
  type NetworkPool,
} from '../../src/core/engine/driver-calls.ts';
import type { EngineNetwork } from '../../src/core/engine/engine.ts';
import { DRIVER } from '../../src/core/engine/engine.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { DEFAULT, HOST } from '../../src/core/host-state.ts';
import { requireIp } from '../../src/core/ip.ts';
import { isNetworkNamespace } from '../../src/core/plan/naming.ts';
import type { Random } from '../../src/ports/runtime.ts';
import type { FakeKernel } from './fake-kernel.ts';
import type { PluginLine } from './plugin-line.ts';

export interface NetworkSpec {
  readonly name: string;
  readonly driver: string;
  /** Undefined: Docker's own, which every host has for itself. */
  readonly ipamDriver: string | undefined;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly ipamOptions: Readonly<Record<string, string>>;
  /** False: `--ipv4=false`, of which engines before 28 know nothing. */
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly subnet?: SubnetRequest;
  readonly ipv6Subnet?: SubnetRequest;
}

interface SubnetRequest {
  readonly cidr: string;
  readonly gateway?: string | undefined;
  readonly ipRange?: string | undefined;
  readonly auxAddresses?: Readonly<Record<string, string>>;
}

/** As the engine keeps it on its disk. */
export interface NetworkObject extends EngineNetwork {
  readonly internal: boolean;
  readonly ipv4: PoolObject | undefined;
  readonly ipv6: PoolObject | undefined;
  readonly endpoints: Set<string>;
  /** Its removal has begun: the next start of the engine finishes it. */
  removing: boolean;
}

export interface PoolObject {
  /** Empty with another IPAM. */
  readonly poolId: string;
  readonly pool: string;
  /** The user named the subnet: only then may containers name their addresses. */
  readonly configured: boolean;
  readonly gateway: string | undefined;
  readonly auxAddresses: Readonly<Record<string, string>>;
}

/** As the engine keeps it on its disk. */
export interface EndpointObject {
  readonly id: string;
  readonly network: NetworkObject;
  /** CIDR. */
  readonly address: string | undefined;
  readonly ipv6Address: string | undefined;
  readonly mac: string;
  readonly publishesPorts: boolean;
  joined: JoinAnswer | undefined;
  /** Where its link is, once it was moved. */
  link: { place: string; readonly name: string } | undefined;
}

export interface EndpointRequest {
  readonly ip: string | undefined;
  readonly ip6: string | undefined;
  /** Told by its settings: the container has no IPv6. */
  readonly withoutIpv6: boolean;
  readonly mac: string | undefined;
  readonly containerName: string;
  readonly publishesPorts: boolean;
  readonly dnsServers: readonly string[];
  readonly options: Readonly<Record<string, string>>;
}

export interface LibnetworkDeps {
  readonly line: PluginLine;
  readonly kernel: FakeKernel;
  readonly random: Random;
  /** A step of a process that may be killed: after that it never resolves. */
  readonly step: <T>(work: Promise<T>) => Promise<T>;
  /** What a driver must not answer. */
  readonly violations: string[];
  /** e.g. `20.10.24`. */
  readonly version: () => string;
}

const UNCONFIGURED =
  'user specified IP address is supported only when connecting to networks with user configured subnets';

export class Libnetwork {
  readonly #deps: LibnetworkDeps;

  constructor(deps: LibnetworkDeps) {
    this.#deps = deps;
  }

  // ------------------------------------------------------------ networks

  async createNetwork(spec: NetworkSpec): Promise<NetworkObject> {
    const { random } = this.#deps;
    const id = random.hex(32);
    const isIpv4 = spec.ipv4 !== false || !this.#isSince(28);
    const pools = spec.ipamDriver === DRIVER ? await this.#allocateAll(spec, isIpv4) : unallocated(spec);
    const { ipv4, ipv6 } = pools;
    const network: NetworkObject = {
      ...{ id, name: spec.name, driver: spec.driver, labels: spec.labels, options: spec.options },
      ...{ ipamDriver: spec.ipamDriver ?? 'default', ipamOptions: spec.ipamOptions, internal: spec.internal },
      ...{ ipv4, ipv6, subnets: [ipv4, ipv6].flatMap((each) => each?.pool ?? []) },
      ...{ endpoints: new Set<string>(), removing: false },
    };
    if (spec.driver !== DRIVER) return network;
    const addressSpace = spec.ipamDriver === DRIVER ? LOCAL_ADDRESS_SPACE : 'LocalDefault';
    const call: CreateNetworkCall = {
      ...{ networkId: id, internal: spec.internal, ipv4: isIpv4, options: spec.options },
      pools: ipv4 ? [dataOf(ipv4, addressSpace)] : [],
      ipv6Pools: ipv6 ? [dataOf(ipv6, addressSpace)] : [],
    };
    try {
      await this.#call('createNetwork', call);
    } catch (error) {
      await this.#releasePools(network);
      throw error;
    }
    return network;
  }

  /** Each family by itself, IPv4 first. */
  async #allocateAll(spec: NetworkSpec, isIpv4: boolean): Promise<Pick<NetworkObject, 'ipv4' | 'ipv6'>> {
    const ipv4 = isIpv4 ? await this.#allocate(spec, spec.subnet, false) : undefined;
    try {
      return { ipv4, ipv6: spec.ipv6 ? await this.#allocate(spec, spec.ipv6Subnet, true) : undefined };
    } catch (error) {
      if (ipv4) await this.#releasePool(ipv4);
      throw error;
    }
  }

  async #allocate({ ipamOptions }: NetworkSpec, subnet: SubnetRequest | undefined, ipv6: boolean): Promise<PoolObject> {
    const request = { pool: subnet?.cidr, subPool: subnet?.ipRange, options: ipamOptions, ipv6 };
    const answer = await this.#call('requestPool', { addressSpace: LOCAL_ADDRESS_SPACE, ...request });
    const { poolId, pool } = answer;
    if (subnet && pool !== formatCidr(parseCidr(subnet.cidr)!)) this.#violate(`pool ${pool} instead of ${subnet.cidr}`);
    if (pool.includes(':') !== ipv6) this.#violate(`pool ${pool} of the other family`);
    let { gateway } = answer;
    try {
      if (subnet?.gateway !== undefined || gateway === undefined) {
        const asked = { poolId, address: subnet?.gateway, gateway: true, endpointName: undefined, mac: undefined };
        gateway = (await this.#call('requestAddress', asked)).address;
      }
      this.#checkInPool(gateway, pool);
      const auxAddresses: Record<string, string> = {};
      for (const [name, address] of Object.entries(subnet?.auxAddresses ?? {})) {
        const asked = { poolId, address, gateway: false, endpointName: undefined, mac: undefined };
        auxAddresses[name] = (await this.#call('requestAddress', asked)).address;
      }
      return { poolId, pool, configured: subnet !== undefined, gateway, auxAddresses };
    } catch (error) {
      await this.#ignoring('releasePool', { poolId });
      throw error;
    }
  }

  /** The network is as good as gone when this begins; what the drivers say changes nothing. */
  async deleteNetwork(network: NetworkObject): Promise<void> {
    await this.#releasePools(network);
    if (network.driver === DRIVER) await this.#ignoring('deleteNetwork', { networkId: network.id });
  }

  async #releasePools({ ipv4, ipv6 }: NetworkObject): Promise<void> {
    for (const each of [ipv4, ipv6]) if (each && each.poolId !== '') await this.#releasePool(each);
  }

  async #releasePool({ poolId, gateway, auxAddresses }: PoolObject): Promise<void> {
    for (const address of [gateway, ...Object.values(auxAddresses)]) {
      if (address !== undefined) await this.#ignoring('releaseAddress', { poolId, address: bare(address) });
    }
    await this.#ignoring('releasePool', { poolId });
  }

  #isSince(major: number): boolean {
    return Number.parseInt(this.#deps.version(), 10) >= major;
  }

  // ------------------------------------------------------------ endpoints

  /** When there is no address of IPv6 to be had, that of IPv4 is not given back. */
  async createEndpoint(network: NetworkObject, request: EndpointRequest): Promise<EndpointObject> {
    const id = this.#deps.random.hex(32);
    const { mac, publishesPorts, dnsServers, options, withoutIpv6 } = request;
    const { ipv4, ipv6 } = network;
    if (request.ip !== undefined && !ipv4?.configured) throw new OverlaydError('engine-refused', UNCONFIGURED);
    if (request.ip6 !== undefined && !ipv6?.configured) throw new OverlaydError('engine-refused', UNCONFIGURED);
    const address = ipv4 && (await this.#assign(ipv4, request.ip, request));
    const ipv6Address = ipv6 && !withoutIpv6 ? await this.#assign(ipv6, request.ip6, request) : undefined;
    try {
      const answer = await this.#call('createEndpoint', {
        ...{ networkId: network.id, endpointId: id, address, ipv6Address, mac },
        ...{ publishesPorts, dnsServers, options },
      });
      if (mac !== undefined && answer.mac !== undefined) this.#violate(`a MAC was answered to ${mac}`);
      const used = mac ?? answer.mac ?? this.#violate('no MAC was answered');
      return { id, network, address, ipv6Address, mac: used, publishesPorts, joined: undefined, link: undefined };
    } catch (error) {
      await this.#unassign({ network, address, ipv6Address });
      throw error;
    }
  }

  async #assign(
    { poolId, pool, configured }: PoolObject,
    ip: string | undefined,
    { containerName }: EndpointRequest,
  ): Promise<string> {
    const endpointName = this.#isSince(29) ? containerName : undefined;
    const asked = { poolId, address: ip, gateway: false, endpointName, mac: undefined };
    const { address } = await this.#call('requestAddress', asked);
    // Not that an engine would mind.
    if (configured) this.#checkInPool(address, pool);
    if (ip !== undefined && bare(address) !== ip) this.#violate(`address ${address} instead of ${ip}`);
    return address;
  }

  async #unassign({ network, address, ipv6Address }: Pick<EndpointObject, 'network' | 'address' | 'ipv6Address'>) {
    for (const [pool, each] of [
      [network.ipv4, address],
      [network.ipv6, ipv6Address],
    ] as const) {
      if (pool && each) await this.#ignoring('releaseAddress', { poolId: pool.poolId, address: bare(each) });
    }
  }

  /** For a network of another driver: if its subnet is ours, so is the address. */
  async requestAddress({ ipv4 }: NetworkObject): Promise<void> {
    if (!ipv4 || ipv4.poolId === '') return;
    const asked = { poolId: ipv4.poolId, address: undefined, gateway: false, endpointName: undefined, mac: undefined };
    await this.#call('requestAddress', asked);
  }

  async join(endpoint: EndpointObject, sandbox: string, others: readonly EndpointObject[]): Promise<void> {
    const { id, network, publishesPorts } = endpoint;
    const call = { networkId: network.id, endpointId: id, sandbox, publishesPorts };
    try {
      const answer = await this.#call('join', call);
      this.#checkJoin(answer, endpoint, others);
      if (answer.gateway !== undefined || (answer.ipv6Gateway !== undefined && this.#isSince(28))) {
        await this.#call('programExternalConnectivity', { networkId: network.id, endpointId: id, publishesPorts });
      }
      endpoint.joined = answer;
    } catch (error) {
      await this.#ignoring('leave', { networkId: network.id, endpointId: id });
      throw error;
    }
  }

  #checkJoin(
    { gateway, ipv6Gateway, sourceName, staticRoutes }: JoinAnswer,
    { address, ipv6Address }: EndpointObject,
    others: readonly EndpointObject[],
  ): void {
    const host = this.#deps.kernel.machine.snapshot(HOST)!;
    if (!host.links.has(sourceName)) this.#violate(`Join answers ${sourceName}, which is not in the host`);
    if (sourceName.length > 15) this.#violate(`${sourceName} is too long`);
    if (gateway !== undefined) this.#checkInPool(`${gateway}/32`, address ?? '0.0.0.0/32');
    if (ipv6Gateway !== undefined) this.#checkInPool(`${ipv6Gateway}/128`, ipv6Address ?? '::/128');
    const given = new Set(others.flatMap(({ joined }) => joined?.staticRoutes.map((each) => each.destination) ?? []));
    for (const { destination } of staticRoutes) {
      if (given.has(destination)) this.#violate(`route ${destination} is in the sandbox already: file exists`);
    }
  }

  /** The link goes into the container's namespace, and gets all that was agreed about it. Throws as the kernel does. */
  populate(endpoint: EndpointObject, place: string): void {
    const { kernel } = this.#deps;
    const { joined, address, ipv6Address, mac } = endpoint;
    if (!joined) return;
    const before = kernel.machine.snapshot(place);
    if (!kernel.machine.snapshot(HOST)!.links.has(joined.sourceName)) {
      throw new OverlaydError('engine-refused', `failed to move ${joined.sourceName}: Link not found`);
    }
    let index = 0;
    while (before?.links.has(`${joined.destinationPrefix}${index}`)) index += 1;
    const ifname = `${joined.destinationPrefix}${index}`;
    kernel.takeOver(joined.sourceName, place, { ifname, cidr: address, ipv6: ipv6Address });
    endpoint.link = { place, name: ifname };
    kernel.interfere({ kind: 'set-link', at: place, name: ifname, set: { mac } });
    for (const { destination, nextHop } of joined.staticRoutes) this.#addRoute(place, destination, nextHop, ifname);
    const has = (way: string) => before?.routes.some(({ destination }) => destination === way);
    const { gateway, ipv6Gateway } = joined;
    if (gateway !== undefined && !has(DEFAULT[4])) this.#addRoute(place, DEFAULT[4], gateway, ifname);
    // Engines before 28 take that of IPv6 from where they take that of IPv4, or not at all.
    const isTaken = ipv6Gateway !== undefined && (gateway !== undefined || this.#isSince(28));
    if (isTaken && !has(DEFAULT[6])) this.#addRoute(place, DEFAULT[6], ipv6Gateway, ifname);
    this.#tellOwner(endpoint);
  }

  #addRoute(at: string, destination: string, gateway: string | undefined, link: string): void {
    const { kernel } = this.#deps;
    const { routes } = kernel.machine.snapshot(at)!;
    if (routes.some((route) => route.destination === destination && route.metric === undefined)) {
      throw new OverlaydError('engine-refused', `adding route ${destination}: file exists`);
    }
    kernel.interfere({ kind: 'set-route', at, route: { destination, gateway, link, protocol: 'boot' } });
  }

  /** Whatever the driver says, the container is without it afterwards; its link is back in the host, if it still is. */
  async leave(endpoint: EndpointObject): Promise<void> {
    if (!endpoint.joined) return;
    await this.#ignoring('leave', { networkId: endpoint.network.id, endpointId: endpoint.id });
    const { machine } = this.#deps.kernel;
    const { link, joined } = endpoint;
    endpoint.link = undefined;
    if (!link || !machine.snapshot(link.place)?.links.has(link.name)) return;
    if (machine.snapshot(HOST)!.links.has(joined.sourceName)) return;
    machine.moveLink(link.place, link.name, HOST, joined.sourceName);
    this.#deps.kernel.tell({ kind: 'host' });
    this.#tellOwner(endpoint);
  }

  async deleteEndpoint(endpoint: EndpointObject): Promise<void> {
    await this.#ignoring('deleteEndpoint', { networkId: endpoint.network.id, endpointId: endpoint.id });
    await this.#unassign(endpoint);
  }

  // ------------------------------------------------------------ answers

  /** The other end of a link that was moved says so to whoever listens in its namespace. */
  #tellOwner({ mac }: EndpointObject): void {
    const { kernel } = this.#deps;
    for (const place of kernel.machine.places().filter(isNetworkNamespace)) {
      if (kernel.machine.snapshot(place)!.fdb.some((row) => row.mac === mac && row.vtep === undefined)) {
        kernel.tell({ kind: 'network', namespace: place });
      }
    }
  }

  #checkInPool(address: string, pool: string): void {
    const block = parseCidr(pool)!;
    if (!contains(block, requireIp(bare(address), 'address'))) this.#violate(`${address} is not in ${pool}`);
  }

  #violate(what: string): never {
    this.#deps.violations.push(what);
    throw new OverlaydError('engine-refused', what);
  }

  readonly #call: PluginLine['call'] = (method, body) => this.#deps.step(this.#deps.line.call(method, body));

  async #ignoring(method: Parameters<PluginLine['call']>[0], body: object): Promise<void> {
    await this.#call(method, body as never).catch(() => undefined);
  }
}

function unallocated({ subnet }: NetworkSpec): Pick<NetworkObject, 'ipv4' | 'ipv6'> {
  const pool = subnet?.cidr ?? '172.19.0.0/16';
  const ipv4 = { poolId: '', pool, configured: subnet !== undefined, gateway: subnet?.gateway, auxAddresses: {} };
  return { ipv4, ipv6: undefined };
}

function dataOf({ pool, gateway, auxAddresses }: PoolObject, addressSpace: string): NetworkPool {
  return { addressSpace, pool, gateway, auxAddresses };
}

function bare(cidr: string): string {
  return cidr.split('/')[0]!;
}
