/**
 * Endpoints of a container engine's containers, as the engine goes about it: an address first, then an endpoint, then
 * the container joins; names and process are learnt last. The address claim is what is made first and released last, so
 * that whatever is cut short in between leaves a claim that this node can find and release.
 */
import { type EngineAttachment, handedOver, isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import { checkMac } from '../../core/endpoint-mac.ts';
import { differing, endpointNames, isNamed } from '../../core/engine/endpoint-names.ts';
import type { EngineContainer } from '../../core/engine/engine.ts';
import { type JoiningContainer, joiningAttachment } from '../../core/engine/service-route.ts';
import { OverlaydError } from '../../core/errors.ts';
import { FAMILIES, familyOf } from '../../core/ip.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { handoverLinkOf } from '../../core/plan/naming.ts';
import { addressList, type EndpointRecord, hasAddress, keys, type NetworkRecord } from '../../core/records.ts';
import type { Containers } from '../../ports/host.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Wanted } from '../claims/address-choice.ts';
import type { AddressClaims } from '../claims/address-claims.ts';
import { refuseTakenMac } from '../claims/mac-choice.ts';
import type { Releases } from '../claims/releases.ts';
import { foundLink } from '../endpoints/container-link.ts';
import { EndpointChange, type EndpointChangeDeps } from '../endpoints/endpoint-change.ts';
import type { Endpoints, EndpointsDeps } from '../endpoints/endpoints.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import { requireAttachable } from '../networks/encryption.ts';
import { FormerAddresses } from './former.ts';
import { engineKnowsMore } from './other-names.ts';
import { addressOf, isExactly, type Reservation, Reservations, type WantedAddress } from './reservations.ts';
import { leadToService, type ServiceLeadDeps } from './service-lead.ts';
import { passWayOut } from './way-out.ts';

export interface EngineEndpointsDeps extends EndpointChangeDeps, ServiceLeadDeps {
  readonly selfId: string;
  readonly claims: AddressClaims;
  readonly releases: Releases;
  readonly local: LocalEndpoints;
  readonly containers: Pick<Containers, 'resolve'>;
  readonly dataPath: EndpointsDeps['dataPath'];
  readonly names: EndpointsDeps['names'];
  readonly endpoints: Pick<Endpoints, 'drop'>;
  /** Etcd has not answered since the start, for so long that it is not asked for the sake of one address. */
  readonly storeAway: () => boolean;
  /** There is something of {@link FormerAddresses.unclaimed}. */
  readonly onFormerLeft: () => void;
  readonly clock: Clock;
}

/** An engine makes the endpoint within milliseconds of getting its address; one that does not has died meanwhile. */
const RESERVED_MS = 60_000;

export class EngineEndpoints {
  readonly #deps: EngineEndpointsDeps;
  readonly #reserved = new Reservations();
  /** By the engine's endpoint id. */
  readonly #wiring = new Map<string, Promise<void>>();
  readonly #queue = new KeyedQueue();
  /** When the endpoint was made in this run of the agent, by the engine's endpoint id. */
  readonly #madeAt = new Map<string, number>();
  readonly change: EndpointChange;
  readonly former: FormerAddresses;

  constructor(deps: EngineEndpointsDeps) {
    this.#deps = deps;
    this.change = new EndpointChange(deps);
    const isReserved = (record: EndpointRecord) => this.#reserved.has(record);
    this.former = new FormerAddresses({ ...deps, isReserved, onLeft: deps.onFormerLeft });
  }

  /** Claims an address, and with it one of the network's other family, which is asked for next. */
  async reserve(network: NetworkRecord, { family, ip, name }: WantedAddress): Promise<string> {
    await requireAttachable(this.#deps.state.view, network, { ...this.#deps.dataPath, selfId: this.#deps.selfId });
    const held = ip === undefined ? undefined : this.#reserved.find(network.id, ip);
    if (held && ip !== undefined && (held.isAsked || held.told.includes(ip))) return this.#reserved.tell(held, ip);
    const begun = held ?? this.#reserved.begun(network.id, family);
    const prepared = begun && addressOf(begun.record, family);
    if (begun && prepared !== undefined && ip === undefined) return this.#reserved.tell(begun, prepared);
    const former = begun ? undefined : this.former.find(network.id, { ip, name });
    const its = former && addressOf(former, family);
    if (former && its !== undefined) {
      // It goes by the MAC that it had.
      this.#keep(former, [its], true);
      return its;
    }
    if (this.#deps.storeAway()) {
      throw new OverlaydError(
        'store-unavailable',
        'etcd has not answered since the overlayd agent was started: no address can be claimed until it does; see `overlayd status`',
        { retryable: true },
      );
    }
    if (ip !== undefined) await this.#releaseLeft(network, ip);
    const told = [...(begun?.told ?? []), ...(ip === undefined ? [] : [ip])];
    // What it was told without asking for it may be another address the next time.
    const macOf = begun && !begun.isAsked && ip !== undefined ? family : undefined;
    const record =
      (begun ? undefined : await this.#claimFormer(network, { ip, name })) ??
      (await this.#claim(network, told, name, begun ? [begun] : [], { macOf }));
    const address = ip ?? addressOf(record, family)!;
    this.#keep(record, [...new Set([...told, address])], ip !== undefined || begun?.isAsked);
    return address;
  }

  /** In one transaction, in the place of what was reserved before. Throws what `AddressClaims.claim` throws. */
  async #claim(
    network: NetworkRecord,
    addresses: readonly string[],
    name: string | undefined,
    instead: readonly Reservation[],
    rest: Pick<Wanted, 'families' | 'macOf'>,
  ): Promise<EndpointRecord> {
    const [ip, ip6] = FAMILIES.map((family) => addresses.find((each) => familyOf(each) === family));
    const wanted = { name, aliases: [], ip, ip6, mac: undefined, tool: 'docker', ...rest };
    const former = instead.map(({ record }) => record);
    try {
      const { record } = await this.#deps.claims.claim(network, wanted, former);
      for (const each of former) this.#reserved.remove(each);
      return record;
    } catch (error) {
      // The engine starts nothing with half of it, and may not even give that back.
      for (const each of instead) await this.#giveBack(each);
      throw error;
    }
  }

  /** What has that address of this host's, and will not come back for it. */
  async #releaseLeft({ id }: NetworkRecord, ip: string): Promise<void> {
    const { releases, state } = this.#deps;
    const left = state.view.addresses(id).get(ip);
    if (left && (releases.isPending(left.id) || this.#isLeftover(left))) await releases.release(left, true);
  }

  /** The addresses that the network's only container here had before the host lost power; undefined: there is no such one. */
  #claimFormer(network: NetworkRecord, asked: Pick<WantedAddress, 'ip' | 'name'>): Promise<EndpointRecord | undefined> {
    const { claims, selfId, store } = this.#deps;
    return this.former.takeSole(network.id, asked, async (former) => {
      // A claim of which it is not known whether etcd took it is given up, and the former one with it.
      await store.get(keys.node(selfId));
      const [ip, ip6] = FAMILIES.map((family) => addressOf(former, family));
      const wanted = { name: undefined, aliases: [], ip, ip6, mac: undefined, tool: 'docker' };
      return (await claims.claim(network, wanted, [former])).record;
    });
  }

  /** A claim of an earlier run without an endpoint, or of one that has just gone: about to be released, as soon as housekeeping comes to it. */
  #isLeftover({ id, nodeId }: EndpointRecord): boolean {
    const { claims, local, selfId } = this.#deps;
    return nodeId === selfId && !local.has(id) && (local.removed.has(id) || !claims.isOfThisRun(id));
  }

  /** Whether the endpoint was not made in the last `ms`, as far as this run of the agent knows. */
  isOlder(endpointId: string, ms: number): boolean {
    return (this.#madeAt.get(endpointId) ?? Number.NEGATIVE_INFINITY) < this.#deps.clock.elapsed() - ms;
  }

  /**
   * Gives an address back, should it still be reserved, or an endpoint be there whose making was reported as failed. One
   * that a container joined ends with its own removal: this may come late, when the address is another container's.
   */
  async release(networkId: string, address: string): Promise<void> {
    const reservation = this.#reserved.find(networkId, address);
    if (reservation) await this.#giveBack(reservation);
    const left = this.#deps.local.onNetwork(networkId).find(({ record }) => hasAddress(record, address));
    if (left?.engine && left.engine.sandbox === undefined) await this.remove(left.engine.endpointId);
  }

  /** Binds addresses, one of a family at most, to an endpoint of the engine and begins to wire it. */
  create(
    network: NetworkRecord,
    of: EngineAttachment & { readonly addresses: readonly string[]; readonly mac: string | undefined },
  ): Promise<EndpointRecord> {
    const { endpointId, networkId, otherServers, addresses, mac } = of;
    const { local, state } = this.#deps;
    return this.#queue.run(endpointId, async () => {
      const known = local.byEngine(endpointId);
      if (known) return known.record;
      const asked = mac === undefined ? undefined : checkMac(mac);
      if (asked !== undefined) refuseTakenMac(state.view, network, asked, addresses[0]);
      const reserved = await this.#take(network, addresses);
      const record = asked === undefined ? reserved : await this.#withMac(network, reserved, asked);
      const engine = { endpointId, networkId, ...(otherServers && { otherServers }) };
      const endpoint = { record, container: handedOver(engine), ifname: handoverLinkOf(record.id), engine };
      this.#madeAt.set(endpointId, this.#deps.clock.elapsed());
      const saved = local.add(endpoint);
      void this.#wire(endpoint);
      await saved;
      return record;
    });
  }

  /**
   * What is reserved, if it is these addresses and no other. Else they are claimed anew, as one: in the place of what they were
   * reserved for, and of what an agent before this one claimed.
   */
  async #take(network: NetworkRecord, addresses: readonly string[]): Promise<EndpointRecord> {
    const { local, releases, selfId, state } = this.#deps;
    const found = new Set(addresses.flatMap((address) => this.#reserved.find(network.id, address) ?? []));
    const [first, ...more] = found;
    if (first && more.length === 0 && isExactly(first.record, addresses)) {
      this.#reserved.remove(first.record);
      return first.record;
    }
    for (const address of addresses) {
      const left = state.view.addresses(network.id).get(address);
      if (left?.nodeId !== selfId || local.has(left.id) || this.#reserved.has(left)) continue;
      await releases.release(left, true);
    }
    const families = FAMILIES.filter((family) => addresses.some((each) => familyOf(each) === family));
    const name = [...found].find(({ record }) => record.sticky)?.record.name ?? this.#keptFor(network, addresses);
    return await this.#claim(network, addresses, name, [...found], { families });
  }

  /** For whom they are kept since this host has let go of them. */
  #keptFor({ id }: NetworkRecord, addresses: readonly string[]): string | undefined {
    const { selfId, state } = this.#deps;
    const resting = addresses.map((address) => state.view.quarantine(id).get(address));
    return resting.find((each) => each?.keptFor && each.by === selfId)?.keptFor?.name;
  }

  /**
   * Resolves when the link waits to be moved into the container and names are answered. Throws `endpoint-not-found`
   * and what stands in the way of the data path.
   */
  join(endpointId: string, joining: JoiningContainer): Promise<LocalEndpoint> {
    const { dataPath, local, names } = this.#deps;
    return this.#queue.run(endpointId, async () => {
      const found = this.#require(endpointId);
      const others = local.all().filter((each) => each.engine?.sandbox === joining.sandbox && each !== found);
      const isIpv4 = addressOf(found.record, 4) !== undefined;
      // Begun by another run of the agent, or failed: it is begun again.
      await (this.#wiring.get(endpointId) ?? this.#wire(found)).catch(() => this.#wire(found));
      this.#wiring.delete(endpointId);
      const engine = joiningAttachment(found.engine!, joining, isIpv4 ? others : undefined);
      const container = isHandedOver(found.container) ? handedOver(engine) : found.container;
      const endpoint = { ...found, container, engine };
      await Promise.all([local.update(endpoint), names.ensure(found.record.networkId)]);
      // The host's filter opens them.
      if (engine.ports) await dataPath.converge(endpoint);
      return endpoint;
    });
  }

  /** Takes the endpoint apart and releases its address. Nothing to do when there is none. */
  remove(endpointId: string): Promise<void> {
    return this.#queue.run(endpointId, async () => {
      this.#wiring.delete(endpointId);
      this.#madeAt.delete(endpointId);
      const endpoint = this.#deps.local.byEngine(endpointId);
      if (!endpoint) return;
      await this.#deps.endpoints.drop([endpoint], 'its engine let go of it');
      passWayOut(this.#deps, endpoint);
    });
  }

  /**
   * What the engine tells of a running container: its names get into the records of its endpoints, and its process is
   * from now on what tells whether it still exists. Throws `store-unavailable` (to be tried again).
   */
  async describe(container: EngineContainer): Promise<void> {
    for (const { endpointId, networkId, addresses, aliases } of container.networks) {
      await this.#queue.run(endpointId, async () => {
        await this.#recognise({ endpointId, networkId }, addresses, container);
        await this.#describe(endpointId, container, aliases);
      });
    }
  }

  /** One of which this node has only found out that it has it, see `adoption.ts`: it is the one with these addresses and link. */
  async #recognise(engine: EngineAttachment, addresses: readonly string[], container: EngineContainer): Promise<void> {
    const { local } = this.#deps;
    if (addresses.length === 0 || local.byEngine(engine.endpointId)) return;
    const has = ({ record }: LocalEndpoint) => addresses.some((address) => hasAddress(record, address));
    const found = local.all().find((each) => !each.engine && isHandedOver(each.container) && has(each));
    const inside = found && (await this.#lookInside(found, container));
    if (inside?.container) await local.update({ ...found!, ...inside, engine });
  }

  async #describe(endpointId: string, container: EngineContainer, aliases: readonly string[]): Promise<void> {
    const { local, logger } = this.#deps;
    const found = local.byEngine(endpointId);
    if (!found?.engine) return;
    const inside = await this.#lookInside(found, container);
    const names = endpointNames(container, aliases);
    const change = differing(found.record, container, names);
    const wayOut = container.pid === 0 ? found.engine.wayOut : container.networks.some(({ gateway }) => gateway);
    const engineKnows =
      container.pid === 0 ? found.engine.engineKnows : engineKnowsMore(container, (id) => local.byEngine(id));
    const engine = { ...found.engine, containerId: container.id, wayOut, engineKnows };
    const known = { ...found, ...inside, engine };
    const isSame =
      found.container.text === known.container.text &&
      found.engine.containerId === container.id &&
      (found.engine.wayOut ?? false) === (wayOut ?? false) &&
      found.engine.engineKnows === engineKnows;
    if (!change && isSame) return;
    if (isHandedOver(found.container)) await leadToService(this.#deps, known);
    let record = found.record;
    try {
      if (change) record = await this.change.make(record, change);
    } finally {
      // Which process it is must be known though etcd does not take the names yet.
      await local.update({ ...known, record });
      // A way out of IPv6 that its engine has not made is made now.
      if (inside.container && isHandedOver(found.container) && addressOf(record, 6))
        void this.#wire({ ...known, record });
    }
    const isFirst = found.engine.containerId === undefined;
    if (isFirst || !isNamed(found.record, names)) {
      const event = isFirst ? 'endpoint-attached' : 'endpoint-renamed';
      const network = this.#deps.state.view.network(record.networkId)?.name;
      logger.info({ event, endpoint: names.name, network, address: addressList(record) }, 'endpoint named');
    }
  }

  /** The container's namespace and our link in there; nothing when the process is gone again or has no such link. */
  async #lookInside(endpoint: LocalEndpoint, { pid, name }: EngineContainer): Promise<Partial<LocalEndpoint>> {
    if (pid === 0) return {};
    const { containers, dataPath } = this.#deps;
    try {
      const container = { ...(await containers.resolve(`pid:${pid}`)), text: `docker:${name}` };
      if (container.identity === endpoint.container.identity) return { container };
      const ifname = foundLink(await dataPath.inside(container.path), endpoint.record);
      return ifname === undefined ? {} : { container, ifname };
    } catch (error) {
      if (error instanceof OverlaydError) return {};
      throw error;
    }
  }

  #wire(endpoint: LocalEndpoint): Promise<void> {
    const wiring = this.#deps.dataPath.converge(endpoint);
    this.#wiring.set(endpoint.engine!.endpointId, wiring);
    // Whoever joins hears of it; an endpoint that nobody joins is removed.
    wiring.catch(() => undefined);
    return wiring;
  }

  #require(endpointId: string): LocalEndpoint {
    const found = this.#deps.local.byEngine(endpointId);
    if (found) return found;
    throw new OverlaydError(
      'endpoint-not-found',
      `endpoint ${endpointId.slice(0, 12)} is not known to overlayd any more; start the container again`,
    );
  }

  async #withMac(network: NetworkRecord, reserved: EndpointRecord, mac: string): Promise<EndpointRecord> {
    if (reserved.mac === mac) return reserved;
    try {
      return await this.change.make(reserved, { mac }, network);
    } catch (error) {
      // The engine gives the address back; should it not, the reservation ends by itself.
      const told = reserved.addresses.map(({ ip }) => ip);
      this.#keep(reserved, told);
      throw error;
    }
  }

  #keep(record: EndpointRecord, told: readonly string[], isAsked = false): void {
    this.#reserved.keep({ record, madeAt: this.#deps.clock.elapsed(), told, isAsked });
  }

  /** Releases addresses that were asked for and then never used. */
  async expire(): Promise<void> {
    const oldest = this.#deps.clock.elapsed() - RESERVED_MS;
    for (const reservation of this.#reserved.madeBefore(oldest)) await this.#giveBack(reservation);
  }

  /** A former claim that was not used after all stays one until etcd answers. */
  async #giveBack({ record }: Reservation): Promise<void> {
    const { local, releases } = this.#deps;
    // An endpoint may have been made of it while others were given back.
    if (!this.#reserved.remove(record)) return;
    if (local.isFormer(record.id)) this.former.giveBack();
    else await releases.release(record, true);
  }
}
