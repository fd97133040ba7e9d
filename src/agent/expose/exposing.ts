/**
 * Giving this host itself an address and names on a network, and taking them away. It is an endpoint as a container's, claimed and
 * released as those are (`endpoints/endpoints.ts`), and stays until somebody takes it away: over restarts of agent and host.
 */
import type { LocalEndpoint } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import { asHost, HOST_AS_OWNER, HOST_CONTAINER, inTheWay, isOfHost } from '../../core/expose.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { checkEndpointName } from '../../core/names.ts';
import { networkSettings } from '../../core/network-options.ts';
import { goesBy } from '../../core/publish.ts';
import { addressList, type EndpointRecord, hasAddress, type NetworkRecord } from '../../core/records.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { Wanted } from '../claims/address-choice.ts';
import { takeName } from '../endpoints/taken-names.ts';
import type { Member } from '../member.ts';
import { requireAttachable } from '../networks/encryption.ts';
import { type HostNames, type NameWay, wayOf } from './host-names.ts';

export interface ExposingDeps {
  /** Throws `not-joined`. */
  readonly member: () => Pick<
    Member,
    'claims' | 'endpoints' | 'local' | 'networks' | 'releases' | 'self' | 'view' | 'wireguard'
  >;
  readonly facts: Pick<HostFacts, 'addresses' | 'routes'>;
  readonly names: Pick<HostNames, 'tell' | 'forget'>;
  readonly logger: Logger;
}

export interface ExposeRequest {
  readonly network: string;
  /** Undefined: the host's. */
  readonly name?: string | undefined;
  readonly aliases: readonly string[];
  /** Undefined: the next free one. */
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
}

export interface Exposed {
  readonly record: EndpointRecord;
  readonly network: NetworkRecord;
  readonly names: NameWay;
}

export class Exposing {
  readonly #deps: ExposingDeps;
  readonly #queue = new KeyedQueue();

  constructor(deps: ExposingDeps) {
    this.#deps = deps;
  }

  /**
   * Whole or not at all; what is there and is asked for again is made whole. Throws `endpoint-exists` when the host is there by another
   * name or address, `conflict` when an address or a route of the host is in the way, `invalid-argument`, and what claims throw.
   */
  async expose(request: ExposeRequest): Promise<Exposed> {
    const network = await this.#deps.member().networks.find(request.network);
    return await this.#queue.run(network.id, () => this.#expose(network, request));
  }

  /** Throws `endpoint-not-found`. */
  async unexpose(ref: string): Promise<EndpointRecord> {
    const { names } = this.#deps;
    const network = await this.#deps.member().networks.find(ref);
    return await this.#queue.run(network.id, async () => {
      const { endpoints } = this.#deps.member();
      const known = this.#exposureOn(network);
      if (!known) {
        throw new OverlaydError(
          'endpoint-not-found',
          `this host has no address on network ${network.name}; \`overlayd endpoint ls --network ${network.name}\` lists who has`,
        );
      }
      await endpoints.drop([known], 'somebody asked for it');
      await names.forget(network);
      return known.record;
    });
  }

  #exposureOn({ id }: NetworkRecord): LocalEndpoint | undefined {
    return this.#deps.member().local.onNetwork(id).find(isOfHost);
  }

  async #expose(network: NetworkRecord, { name: asked, aliases, ip, ip6 }: ExposeRequest): Promise<Exposed> {
    const { logger } = this.#deps;
    const { endpoints, local, self, view, wireguard } = this.#deps.member();
    const known = this.#exposureOn(network);
    if (known) {
      refuseOther(known.record, network, { name: asked, aliases, ip, ip6 });
      await endpoints.ensure(known);
      return await this.#named(known.record, network);
    }
    const name = checkEndpointName(
      asked ?? self.name.split('.')[0]!,
      asked === undefined ? "this host's name (give another one with --name)" : '--name',
    );
    for (const alias of aliases) checkEndpointName(alias, '--alias');
    refuseApart(network);
    await requireAttachable(view, network, { selfId: self.id, canEncrypt: () => wireguard.canRun() });
    await this.#refuseInTheWay(network);
    const release = takeName(local, network, name);
    const wanted = { name, aliases: [...new Set(aliases)], ip, ip6, mac: undefined, tool: HOST_AS_OWNER.tool };
    const record = await this.#claim(network, wanted).finally(release);
    const of = { endpoint: record.name, network: network.name, address: addressList(record) };
    logger.info({ event: 'endpoint-attached', ...of, container: HOST_CONTAINER.text }, 'this host is on a network');
    return await this.#named(record, network);
  }

  async #claim(network: NetworkRecord, wanted: Wanted & { readonly name: string }): Promise<EndpointRecord> {
    const { claims, endpoints, local, releases } = this.#deps.member();
    const { record, told } = await claims.claim(network, wanted);
    const endpoint = asHost(record, network.vni);
    try {
      await Promise.all([local.add(endpoint), told]);
      await endpoints.ensure(endpoint);
    } catch (error) {
      if (local.has(record.id)) await endpoints.drop([endpoint], 'the host could not be put on the network');
      else await releases.release(record, true);
      throw error;
    }
    return record;
  }

  async #named(record: EndpointRecord, network: NetworkRecord): Promise<Exposed> {
    const isAsked = (await this.#deps.names.tell(record, network)) === 'asks';
    return { record, network, names: { ...wayOf(record, network), isAsked } };
  }

  async #refuseInTheWay(network: NetworkRecord): Promise<void> {
    const { facts } = this.#deps;
    const [addresses, routes] = await Promise.all([facts.addresses(), facts.routes()]);
    for (const subnet of network.subnets) {
      const what = inTheWay(subnet, addresses, routes);
      if (what === undefined) continue;
      throw new OverlaydError(
        'conflict',
        `network ${network.name} (${subnet.cidr}) cannot be reached from this host: ${what}; take that away, or use a network with another subnet`,
      );
    }
  }
}

/** The gateway is all that its containers speak to, and the host is none. */
function refuseApart(network: NetworkRecord): void {
  if (networkSettings(network).betweenContainers) return;
  throw new OverlaydError(
    'invalid-argument',
    `network ${network.name} keeps its containers apart (enable_icc=false), from this host as well: use a network without that option`,
  );
}

function refuseOther(
  record: EndpointRecord,
  network: NetworkRecord,
  { name, aliases, ip, ip6 }: Omit<ExposeRequest, 'network'>,
): void {
  const isOther = name !== undefined && name.toLowerCase() !== record.name.toLowerCase();
  const lacks = [ip, ip6].some((address) => address !== undefined && !hasAddress(record, address));
  const alias = aliases.find((each) => !goesBy(record, each));
  if (!isOther && !lacks && alias === undefined) return;
  const without = alias === undefined ? '' : ` and not as ${alias}`;
  throw new OverlaydError(
    'endpoint-exists',
    `this host is on network ${network.name} already, as ${record.name} (${addressList(record)})${without}; take it off first (overlayd network unexpose ${network.name})`,
  );
}
