/**
 * What the front doors of container tools ask for. A tool says by a key of its own which endpoint it means, may ask for it
 * twice, and lets go of what it never had: each call says how things are to be. What one key means is done serially.
 */
import type { Owner } from '../../core/attachment.ts';
import type { LocalEndpoint } from '../../core/container.ts';
import { desired } from '../../core/desired.ts';
import type { Address } from '../../core/host-state.ts';
import { type Family, familyOfAddress } from '../../core/ip.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { Containers } from '../../ports/host.ts';
import type { Connection, ConnectRequest } from '../endpoints/endpoints.ts';
import type { Member } from '../member.ts';
import { requireFree } from '../publish/publishing.ts';

export interface AttachmentsDeps {
  /** Throws `not-joined`. */
  readonly member: () => Pick<Member, 'endpoints' | 'liveness' | 'local' | 'networks' | 'reconciler' | 'self' | 'view'>;
  readonly containers: Pick<Containers, 'resolve'>;
}

export interface AttachRequest extends ConnectRequest {
  readonly owner: Owner;
}

/** What the inside of a container has of an endpoint. */
export interface AttachmentReport {
  /** IPv4 first. */
  readonly addresses: readonly ReportedAddress[];
  readonly mac: string;
  /** In bytes. */
  readonly mtu: number;
  readonly ifname: string;
  /** By which its default routes go, of each family that goes through this endpoint. */
  readonly defaultGateways: readonly string[];
  /** CIDRs of the network's other subnets, which are on the link. */
  readonly onLink: readonly string[];
  /** Who answers its names: the network's gateways. */
  readonly nameServers: readonly string[];
}

export interface ReportedAddress extends Pick<Address, 'address' | 'prefix'> {
  readonly family: Family;
  readonly gateway: string | undefined;
}

export class Attachments {
  readonly #deps: AttachmentsDeps;
  readonly #queue = new KeyedQueue();

  constructor(deps: AttachmentsDeps) {
    this.#deps = deps;
  }

  /**
   * The endpoint of this key, connected; the one that it has already, if that is in the same namespace and on the same network. Throws
   * what `Endpoints.connect` throws.
   */
  attach(request: AttachRequest): Promise<Connection> {
    const { owner } = request;
    return this.#queue.run(nameOf(owner), async () => {
      const { published = [] } = request;
      const member = this.#deps.member();
      requireFree(member, published, (other) => isSameContainer(other, owner));
      const { portsAsked } = member.local;
      portsAsked.set(owner, published);
      try {
        return await this.#attach(request);
      } finally {
        portsAsked.delete(owner);
      }
    });
  }

  async #attach(request: AttachRequest): Promise<Connection> {
    const { owner } = request;
    const { endpoints, networks } = this.#deps.member();
    const known = this.find(owner);
    if (known) {
      const network = await networks.find(request.network);
      const container = await this.#deps.containers.resolve(request.container);
      if (known.record.networkId === network.id && known.container.identity === container.identity) {
        await endpoints.ensure(known);
        return { endpoint: known, network, warnings: [] };
      }
      await endpoints.drop([known], 'its tool asks for it elsewhere');
    }
    return await endpoints.connect(request);
  }

  /**
   * Whether there was one, after what was asked for it before. `stays`: it is left as it is. What is left of it when etcd or the
   * kernel does not answer is taken away later.
   */
  detach(
    owner: Pick<Owner, 'tool' | 'key'>,
    reason = 'its tool let go of it',
    stays: (known: LocalEndpoint) => boolean | Promise<boolean> = () => false,
  ): Promise<boolean> {
    return this.#queue.run(nameOf(owner), async () => {
      const known = this.find(owner);
      if (known && !(await stays(known))) await this.#deps.member().endpoints.drop([known], reason);
      return known !== undefined;
    });
  }

  find({ tool, key }: Pick<Owner, 'tool' | 'key'>): LocalEndpoint | undefined {
    return this.all(tool).find(({ owner }) => owner?.key === key);
  }

  /** Of this host. */
  all(tool: string): LocalEndpoint[] {
    const { local } = this.#deps.member();
    return local.all().filter(({ owner }) => owner?.tool === tool);
  }

  /** Undefined when its network is gone, or its addresses are another's. */
  report(endpoint: LocalEndpoint): AttachmentReport | undefined {
    const { local, self, view } = this.#deps.member();
    const network = view.network(endpoint.record.networkId);
    if (!network) return undefined;
    const wanted = desired({ view, self, local: local.all(), remotes: false }, new Set([network.id])).networks[0];
    const port = wanted?.ports.find((each) => each.endpoint.record.id === endpoint.record.id);
    if (!wanted || !port) return undefined;
    const gateways = port.addresses.map(({ address }) => subnetWith(network.subnets, address)?.gateway);
    return {
      addresses: port.addresses.map(({ address, prefix }, nth) => ({
        ...{ address, prefix, family: familyOfAddress(address), gateway: gateways[nth] },
      })),
      ...{ mac: port.mac, mtu: wanted.mtu, ifname: endpoint.ifname },
      ...{ defaultGateways: port.defaultGateways, onLink: port.onLink },
      nameServers: [...new Set(gateways.filter((each) => each !== undefined))],
    };
  }
}

/** A tool asks for the same ports at each network of a container. */
function isSameContainer(a: Owner, b: Owner): boolean {
  return a.tool === b.tool && (a.key === b.key || (a.container !== undefined && a.container === b.container));
}

function nameOf({ tool, key }: Pick<Owner, 'tool' | 'key'>): string {
  return `${tool} ${key}`;
}
