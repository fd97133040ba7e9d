/**
 * Connecting containers of this host and disconnecting them.
 *
 * Connect: claim in etcd -> state file, wiring and names side by side. Disconnect: state file, names and unwiring side by
 * side -> release. So at every line a crash leaves either an endpoint that the next start makes whole, or one that it
 * recognises and takes apart: a claim that the state file does not know is released, a port that is not desired is
 * removed. All work on one container is serial.
 */
import { type Owner, toolNamedBy } from '../../core/attachment.ts';
import { type ConnectOptions, checkConnect } from '../../core/connect-options.ts';
import type { ContainerRef, LocalEndpoint } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import { isOfHost } from '../../core/expose.ts';
import type { NamespaceState } from '../../core/host-state.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { isWrittenAsNamespace } from '../../core/named-container.ts';
import { checkEndpointName } from '../../core/names.ts';
import type { Options } from '../../core/network-options.ts';
import type { PortMapping } from '../../core/publish.ts';
import { addressList, type EndpointRecord, type NetworkRecord } from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import type { Telemetry } from '../../core/telemetry.ts';
import type { Containers, ResolverDrift } from '../../ports/host.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { Wanted } from '../claims/address-choice.ts';
import type { AddressClaims } from '../claims/address-claims.ts';
import { refuseTakenMac } from '../claims/mac-choice.ts';
import type { Releases } from '../claims/releases.ts';
import { type CanEncrypt, requireAttachable } from '../networks/encryption.ts';
import type { Networks } from '../networks/networks.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { chooseLink, defaultName } from './container-link.ts';
import { eventOf } from './endpoint-change.ts';
import { goneInTheWay } from './gone-in-the-way.ts';
import type { LocalEndpoints } from './local-endpoints.ts';
import { serversFor } from './name-servers.ts';
import { takeName } from './taken-names.ts';

export interface EndpointsDeps {
  readonly state: ClusterState;
  readonly networks: Pick<Networks, 'find'>;
  readonly claims: AddressClaims;
  readonly releases: Releases;
  readonly local: LocalEndpoints;
  readonly containers: Containers;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly dataPath: {
    /** What a container's namespace holds. Throws `namespace-unusable`. */
    inside(path: string): Promise<NamespaceState>;
    /**
     * Resolves when the kernel has what is desired for the network; rejects with the cause. What stands in the way of
     * other endpoints than this one does not matter. `inside`: what its container holds, to save a second look.
     */
    converge(endpoint: LocalEndpoint, inside?: NamespaceState): Promise<void>;
    readonly canEncrypt: CanEncrypt;
    /** Until what it returns is called, changes in the network's namespace are wanted, whoever has a pass make them. */
    expect(networkId: string): () => void;
  };
  /** Opens or closes the network's responder on this host, as there are local endpoints or not. */
  readonly names: { ensure(networkId: string): Promise<void>; prepare(networkId: string): void };
}

export interface ConnectRequest extends ConnectOptions {
  readonly network: string;
  readonly container: string;
  /** `--driver-opt`. */
  readonly options?: Options | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** The tool that asks. Absent: a person. */
  readonly owner?: Owner | undefined;
  /** Ports of the host that are to lead to it. */
  readonly published?: readonly PortMapping[] | undefined;
}

export interface Connection {
  readonly endpoint: LocalEndpoint;
  readonly network: NetworkRecord;
  readonly warnings: readonly string[];
}

export class Endpoints {
  readonly #deps: EndpointsDeps;
  readonly #selfId: string;
  readonly #containers = new KeyedQueue();
  readonly #releasedEarly = new Set<string>();

  constructor(deps: EndpointsDeps, options: { readonly selfId: string }) {
    this.#deps = deps;
    this.#selfId = options.selfId;
  }

  /** Endpoints that were disconnected while the view was not whole: the kernel has to let go of them all the same. */
  get releasedEarly(): ReadonlySet<string> {
    if (this.#deps.state.view.provesAbsence) this.#releasedEarly.clear();
    return this.#releasedEarly;
  }

  /** Whole or not at all. Throws what stands in the way, see `docs/errors.md`. */
  connect(request: ConnectRequest): Promise<Connection> {
    return this.#deps.telemetry.run('attach', {}, () => this.#connectChecked(request));
  }

  async #connectChecked(request: ConnectRequest): Promise<Connection> {
    const { containers, networks } = this.#deps;
    const { gwPriority } = request;
    const checked = checkConnect(request, { hasDots: request.owner !== undefined });
    const { mac, ifname, options, ...declared } = checked;
    const network = await networks.find(request.network);
    await requireAttachable(this.#deps.state.view, network, { ...this.#deps.dataPath, selfId: this.#selfId });
    const container = await containers.resolve(request.container);
    const name =
      request.name ?? checkEndpointName(defaultName(container), 'the name taken from CONTAINER (give one with --name)');
    const { ip, ip6, owner } = request;
    const tool = owner?.tool ?? toolNamedBy(container.text);
    const wanted = { name, aliases: [...new Set(request.aliases)], ip, ip6, mac, tool, ...declared };
    const local = {
      ifname,
      ...(gwPriority === undefined ? {} : { gwPriority }),
      ...(Object.keys(options).length === 0 ? {} : { options }),
      ...(owner === undefined ? {} : { owner }),
      ...(request.published?.length ? { published: request.published } : {}),
    };
    await this.drop(await goneInTheWay(this.#deps, network, container, name), 'its container is gone');
    return this.#containers.run(container.identity, () => this.#connect(network, container, wanted, local));
  }

  /** `container`: as given to connect, or name or id prefix of an endpoint. Throws `endpoint-not-found`. */
  async disconnect(
    networkRef: string,
    container: string,
    force: boolean,
  ): Promise<{ record: EndpointRecord; network: NetworkRecord }> {
    const network = await this.#deps.networks.find(networkRef);
    const local = this.#deps.local.onNetwork(network.id);
    const text = container.replace(/^netns:\/run\/netns\//, 'netns:');
    const found = local.find((endpoint) => endpoint.container.text === text);
    const record = found?.record ?? this.#byRef(network, container);
    const endpoint = found ?? local.find((candidate) => candidate.record.id === record.id);
    if (endpoint?.engine) {
      throw new OverlaydError(
        'engine-unavailable',
        `endpoint ${record.name} is a Docker container's: use \`docker network disconnect ${network.name} ${record.name}\``,
      );
    }
    if (endpoint && isOfHost(endpoint)) {
      throw new OverlaydError(
        'invalid-argument',
        `endpoint ${record.name} is this host itself: take it off the network with \`overlayd network unexpose ${network.name}\``,
      );
    }
    if (endpoint?.owner && !force) {
      throw new OverlaydError(
        'invalid-argument',
        `endpoint ${record.name} was asked for by ${endpoint.owner.tool}: disconnect its container there, or add --force, and its container loses the network as it runs`,
      );
    }
    if (endpoint) await this.#containers.run(endpoint.container.identity, () => this.#detach([endpoint]));
    else await this.#evict(record, network, force);
    this.#noteDetached(record, 'somebody asked for it');
    return { record, network };
  }

  /** Makes whole what is there of an endpoint, and waits until it is. */
  async ensure(endpoint: LocalEndpoint): Promise<void> {
    await this.#deps.dataPath.converge(endpoint);
    await this.#deps.names.ensure(endpoint.record.networkId);
  }

  /** Takes apart what is left of endpoints whose container is gone, or whose claim is lost. */
  async drop(endpoints: readonly LocalEndpoint[], reason: string): Promise<void> {
    const ofContainers = [...Map.groupBy(endpoints, ({ container }) => container.identity)];
    const dropped = ofContainers.map(([identity, of]) => this.#containers.run(identity, () => this.#detach(of)));
    for (const { record } of endpoints) this.#noteDetached(record, reason);
    for (const [at, outcome] of (await Promise.allSettled(dropped)).entries()) {
      const names = ofContainers[at]![1].map(({ record }) => record.name);
      if (outcome.status === 'rejected')
        this.#deps.logger.error({ endpoints: names, error: outcome.reason }, 'endpoints not released');
    }
  }

  #noteDetached(record: EndpointRecord, reason: string): void {
    const of = eventOf(record, this.#deps.state.view.network(record.networkId));
    this.#deps.logger.info({ event: 'endpoint-detached', ...of, reason }, 'endpoint released');
  }

  /** The one endpoint of the network, on any host, that the text means. */
  #byRef(network: NetworkRecord, ref: string): EndpointRecord {
    const endpoints = [...this.#deps.state.view.endpointsOn(network.id)];
    if (isWrittenAsNamespace(ref)) {
      throw new OverlaydError(
        'endpoint-not-found',
        `container ${ref} is not connected to network ${network.name} on this host; \`overlayd endpoint ls\` lists the endpoints of all hosts`,
      );
    }
    const own = endpoints.filter((endpoint) => endpoint.nodeId === this.#selfId && endpoint.name === ref);
    return own[0] ?? resolveRef(endpoints, ref, 'endpoint');
  }

  async #connect(
    network: NetworkRecord,
    container: ContainerRef,
    wanted: Wanted & { readonly name: string },
    {
      ifname,
      ...rest
    }: { readonly ifname: string | undefined } & Pick<LocalEndpoint, 'gwPriority' | 'options' | 'owner' | 'published'>,
  ): Promise<Connection> {
    const { claims, dataPath, local, state } = this.#deps;
    this.#refuseConnected(network, container);
    const release = takeName(local, network, wanted.name);
    try {
      if (wanted.mac !== undefined) refuseTakenMac(state.view, network, wanted.mac);
      const inside = dataPath.inside(container.path);
      inside.catch(() => undefined);
      // A name that was asked for can be refused, and a refusal leaves no trace; another one is found while etcd decides.
      if (ifname !== undefined) chooseLink(await inside, network, ifname, container);
      const { record, told } = await claims.claim(network, wanted);
      let endpoint: LocalEndpoint | undefined;
      try {
        const looked = await inside;
        endpoint = { record, container, ifname: chooseLink(looked, network, ifname, container), ...rest };
        const [warning] = await Promise.all([this.#wire(endpoint, looked), told]);
        this.#deps.logger.info(
          { event: 'endpoint-attached', ...eventOf(record, network), container: container.text },
          'endpoint connected',
        );
        return { endpoint, network, warnings: warning === undefined ? [] : [warning] };
      } catch (error) {
        const undo: Promise<unknown> = endpoint
          ? this.#disconnect([endpoint])
          : this.#deps.releases.release(record, true);
        await undo.catch((undoError: unknown) => {
          this.#deps.logger.error({ endpoint: record.name, error: undoError }, 'a failed connect could not be undone');
        });
        if (await this.#deps.containers.isAlive(container)) throw error;
        throw new OverlaydError(
          'namespace-not-found',
          `container ${container.text}: its namespace was deleted while it was being connected`,
          { cause: error },
        );
      }
    } finally {
      release();
    }
  }

  async #wire(endpoint: LocalEndpoint, inside: NamespaceState): Promise<string | undefined> {
    const { dataPath, local, names } = this.#deps;
    // The sweep after a crash needs either the claim or the file, the kernel neither: so file and wiring may overlap.
    const saved = local.add(endpoint);
    const wired = dataPath
      .converge(endpoint, inside)
      .then(() => Promise.all([names.ensure(endpoint.record.networkId), this.#refuseGone(endpoint.container)]));
    names.prepare(endpoint.record.networkId);
    const configured = this.configureResolver(endpoint.container);
    // Each has ended before anything is undone.
    await Promise.allSettled([saved, wired, configured]);
    const [, , warning] = await Promise.all([saved, wired, configured]);
    return warning;
  }

  /** The look inside is a while ago: what has been wired since may be another container of the same name. */
  async #refuseGone(container: ContainerRef): Promise<void> {
    if (await this.#deps.containers.isAlive(container)) return;
    throw new OverlaydError('namespace-not-found', `container ${container.text}: its namespace was deleted`);
  }

  #detach(endpoints: readonly LocalEndpoint[]): Promise<void> {
    return this.#deps.telemetry.run('detach', {}, () => this.#disconnect(endpoints));
  }

  /**
   * Of one container, side by side: of a container on a hundred networks none waits for the others. Every step is tried
   * whatever became of the ones before: an address must not stay claimed because a disk is full.
   */
  async #disconnect(endpoints: readonly LocalEndpoint[]): Promise<void> {
    const { dataPath, local, logger, names, releases, state } = this.#deps;
    const container = endpoints[0]?.container;
    if (!container) return;
    const tried = async (whose: string, step: () => Promise<unknown>) => {
      try {
        await step();
        return true;
      } catch (error) {
        logger.warn({ endpoint: whose, error }, 'a part of the endpoint is still there');
        return false;
      }
    };
    if (!state.view.provesAbsence) for (const { record } of endpoints) this.#releasedEarly.add(record.id);
    const arrived = endpoints.map(({ record }) => dataPath.expect(record.networkId));
    releases.prepare();
    // They are no endpoints of ours from this turn on. The claim ends last, so whatever of this a crash cuts short, the
    // next start has either an endpoint to make whole again or a claim to release.
    const removed = tried(container.text, () => local.remove(...endpoints.map(({ record }) => record.id)));
    const configured = tried(container.text, () => this.configureResolver(container));
    const releasing = endpoints.map(async (endpoint, at) => {
      const { name, networkId } = endpoint.record;
      const [clean] = await Promise.all([
        tried(name, () => dataPath.converge(endpoint)).finally(arrived[at]),
        removed,
        // Where others are left, names go on being answered. A namespace that goes is let go of by whoever removes it.
        local.hasOnNetwork(networkId) || tried(name, () => names.ensure(networkId)),
        configured,
      ]);
      // The reconciler goes on trying; an address whose port may still be there must rest.
      await releases.release(endpoint.record, clean);
    });
    const failed = (await Promise.allSettled(releasing)).find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Points the container's resolver at the gateways of all its networks, or restores what was there. */
  async configureResolver(container: ContainerRef): Promise<string | undefined> {
    return await this.#deps.containers.configureResolver(container, this.#serversFor(container));
  }

  /** How its file differs from what {@link configureResolver} writes. */
  async resolverDrift(container: ContainerRef): Promise<ResolverDrift | undefined> {
    return await this.#deps.containers.resolverDrift(container, this.#serversFor(container));
  }

  #serversFor(container: ContainerRef): string[] {
    return serversFor(container, this.#deps.local, this.#deps.state.view);
  }

  /** An endpoint of another host: only when that host is down and the user insists. */
  async #evict(record: EndpointRecord, network: NetworkRecord, force: boolean): Promise<void> {
    const { state, releases } = this.#deps;
    if (record.nodeId === this.#selfId) {
      // A claim of ours without an endpoint: nothing of it is wired.
      await releases.release(record, true);
      return;
    }
    const node = state.view.node(record.nodeId);
    const host = node?.name ?? record.nodeId.slice(0, 12);
    if (node && !node.left && state.view.live(record.nodeId)) {
      throw new OverlaydError(
        'node-up',
        `endpoint ${record.name} of network ${network.name} is on host ${host}; run the command there`,
      );
    }
    if (!force) {
      throw new OverlaydError(
        'invalid-argument',
        `endpoint ${record.name} of network ${network.name} is on host ${host}, which is down; if that host is gone for good, --force releases its address for other containers`,
      );
    }
    if (!(await releases.release(record, false))) {
      throw new OverlaydError(
        'store-unavailable',
        `endpoint ${record.name} cannot be released while etcd does not answer; it will be when etcd is back`,
        { retryable: true },
      );
    }
  }

  #refuseConnected(network: NetworkRecord, container: ContainerRef): void {
    const endpoints = this.#deps.local.onNetwork(network.id);
    const same = endpoints.find((endpoint) => endpoint.container.identity === container.identity);
    if (!same) return;
    throw new OverlaydError(
      'endpoint-exists',
      `container ${container.text} is already connected to network ${network.name} as ${same.record.name} (${addressList(same.record)})`,
    );
  }
}
