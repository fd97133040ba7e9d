/** How an engine starts containers and takes them apart: what of it asks the drivers, and what moves links about. */
import {
  DRIVER,
  type EngineContainer,
  type EngineEvent,
  type EngineNetworkMembers,
} from '../../src/core/engine/engine.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import type { KeyedQueue } from '../../src/core/keyed-queue.ts';
import type { EndpointPort } from '../../src/core/records.ts';
import type { Random } from '../../src/ports/runtime.ts';
import type { EngineDisk } from './engine-disk.ts';
import type { FakeKernel } from './fake-kernel.ts';
import type { EndpointObject, Libnetwork, NetworkObject } from './fake-libnetwork.ts';

export interface AttachmentRequest {
  readonly aliases?: readonly string[];
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
  readonly mac?: string | undefined;
}

export interface Attachment extends AttachmentRequest {
  /** What counts from the first start on: another network of the same name is another one. */
  networkId?: string;
  endpoint: EndpointObject | undefined;
}

export interface FakeContainer {
  readonly id: string;
  name: string;
  readonly hostname: string;
  readonly ports: readonly EndpointPort[];
  /** As the engine knows it: 0 when it does not run. */
  pid: number;
  /** There is such a process. */
  alive: boolean;
  sandbox: string;
  /** Its `/etc/hosts`, as Docker 28 writes it. */
  hosts: string;
  /** The engine starts it again when it starts itself. */
  readonly restarts: boolean;
  ran: boolean;
  /** Why its last start failed. */
  failure: string;
  /** Its own check fails. */
  unhealthy?: boolean;
  readonly publishesPorts: boolean;
  readonly withoutIpv6: boolean;
  readonly dnsServers: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  /** By name of the network. */
  readonly attachments: Map<string, Attachment>;
}

export interface RunRequest {
  readonly networks: Readonly<Record<string, AttachmentRequest>>;
  readonly hostname?: string;
  readonly ports?: readonly EndpointPort[];
  readonly restarts?: boolean;
  readonly publishesPorts?: boolean;
  /** `--sysctl net.ipv6.conf.all.disable_ipv6=1`. */
  readonly withoutIpv6?: boolean;
  readonly dnsServers?: readonly string[];
  readonly options?: Readonly<Record<string, string>>;
}

export interface ContainerRunsDeps {
  readonly disk: EngineDisk;
  readonly kernel: FakeKernel;
  readonly random: Random;
  readonly libnetwork: Libnetwork;
  readonly networkLocks: KeyedQueue;
  readonly network: (name: string) => NetworkObject;
  readonly nextPid: () => number;
  readonly tell: (event: EngineEvent) => void;
}

/** Of one life of the engine. Callers hold the container's lock. */
export class ContainerRuns {
  readonly #deps: ContainerRunsDeps;

  constructor(deps: ContainerRunsDeps) {
    this.#deps = deps;
  }

  async start(container: FakeContainer): Promise<void> {
    const { disk, kernel, libnetwork, network, nextPid, random } = this.#deps;
    container.sandbox = `/run/docker/netns/${random.hex(6)}`;
    container.hosts = '127.0.0.1\tlocalhost\n';
    const attachments = [...container.attachments].map(
      ([name, attachment]) => [network(attachment.networkId ?? name), attachment] as const,
    );
    try {
      for (const [joined, attachment] of attachments) await this.#attach(container, joined, attachment);
      container.pid = nextPid();
      container.alive = true;
      container.ran = true;
      container.failure = '';
      kernel.addContainer(placeOf(container));
      for (const [, { endpoint }] of attachments) if (endpoint) libnetwork.populate(endpoint, placeOf(container));
    } catch (error) {
      endProcess(container, kernel, disk);
      await this.#leaveAll(container);
      container.pid = 0;
      container.failure = (error as Error).message;
      throw error;
    }
    this.#deps.tell({ kind: 'container', action: 'start', id: container.id });
  }

  /** One that runs gets another endpoint. */
  async connect(container: FakeContainer, network: NetworkObject, attachment: Attachment): Promise<void> {
    await this.#attach(container, network, attachment);
    const { endpoint } = attachment;
    if (!endpoint) return;
    try {
      if (!container.alive) throw refused(`container ${container.name} has ended`);
      this.#deps.libnetwork.populate(endpoint, placeOf(container));
    } catch (error) {
      attachment.endpoint = undefined;
      await this.detach(endpoint);
      throw error;
    }
  }

  /** What follows from the end of its process. */
  async cleanUp(container: FakeContainer): Promise<void> {
    if (container.pid === 0 || container.alive) return;
    container.pid = 0;
    this.#deps.tell({ kind: 'container', action: 'die', id: container.id });
    await this.#leaveAll(container);
  }

  async #leaveAll(container: FakeContainer): Promise<void> {
    const endpoints = [...container.attachments.values()].flatMap(({ endpoint }) => endpoint ?? []);
    for (const attachment of container.attachments.values()) attachment.endpoint = undefined;
    for (const endpoint of endpoints) {
      await this.detach(endpoint);
      this.#deps.tell({ kind: 'container', action: 'disconnect', id: container.id, networkId: endpoint.network.id });
    }
    this.#deps.kernel.killContainer(container.sandbox);
  }

  /** An endpoint that is joined, but whose link is not in the container yet. */
  async #attach(container: FakeContainer, network: NetworkObject, attachment: Attachment): Promise<void> {
    if (network.driver !== DRIVER) return void (await this.#deps.libnetwork.requestAddress(network));
    const { disk, libnetwork, networkLocks } = this.#deps;
    const { publishesPorts, withoutIpv6, dnsServers, options, name: containerName } = container;
    const endpoint = await networkLocks.run(network.id, async () => {
      if (!disk.objects.has(network.id)) throw refused(`network ${network.name} not found`);
      const { ip, ip6, mac } = attachment;
      const request = { ip, ip6, mac, containerName, publishesPorts, withoutIpv6, dnsServers, options };
      const made = await libnetwork.createEndpoint(network, request);
      disk.endpoints.set(made.id, made);
      network.endpoints.add(made.id);
      return made;
    });
    const others = [...container.attachments.values()].flatMap(({ endpoint: other }) => other ?? []);
    try {
      await libnetwork.join(endpoint, container.sandbox, others);
    } catch (error) {
      await this.detach(endpoint);
      throw error;
    }
    attachment.endpoint = endpoint;
    attachment.networkId = network.id;
    const [own, ipv6] = [endpoint.address, endpoint.ipv6Address].map((cidr) => cidr?.split('/')[0]);
    if (own) container.hosts += `::ffff:${own}\t${container.hostname}\n`;
    if (ipv6) container.hosts += `${ipv6}\t${container.hostname}\n`;
    this.#deps.tell({ kind: 'container', action: 'connect', id: container.id, networkId: network.id });
  }

  async detach(endpoint: EndpointObject): Promise<void> {
    const { disk, libnetwork } = this.#deps;
    await libnetwork.leave(endpoint);
    await libnetwork.deleteEndpoint(endpoint);
    disk.endpoints.delete(endpoint.id);
    endpoint.network.endpoints.delete(endpoint.id);
  }
}

/** The engine holds its namespace, links and all, until it has cleaned up. */
export function endProcess(container: FakeContainer, kernel: FakeKernel, { endpoints }: EngineDisk): void {
  if (!container.alive) return;
  container.alive = false;
  const place = placeOf(container);
  kernel.addContainer(container.sandbox);
  for (const name of kernel.machine.snapshot(place)!.links.keys()) {
    if (name !== 'lo') kernel.machine.moveLink(place, name, container.sandbox, name);
  }
  for (const { link } of endpoints.values()) if (link?.place === place) link.place = container.sandbox;
  kernel.killContainer(place);
}

export function containerOf(id: string, name: string, request: RunRequest): FakeContainer {
  const attachments = Object.entries(request.networks).map(([network, options]) => {
    return [network, { aliases: [], ...options, endpoint: undefined }] as const;
  });
  return {
    ...{ id, name, hostname: request.hostname ?? id.slice(0, 12), pid: 0, alive: false, sandbox: '', hosts: '' },
    ...{ ports: request.ports ?? [], restarts: request.restarts ?? false, ran: false, failure: '' },
    ...{ publishesPorts: request.publishesPorts ?? false, withoutIpv6: request.withoutIpv6 ?? false },
    dnsServers: request.dnsServers ?? [],
    ...{ options: request.options ?? {}, attachments: new Map<string, Attachment>(attachments) },
  };
}

export function placeOf({ pid }: Pick<FakeContainer, 'pid'>): string {
  return `/proc/${pid}/ns/net`;
}

export function refused(message: string): OverlaydError {
  return new OverlaydError('engine-refused', message);
}

/** What the engine lists with a network. */
export function membersOf(
  network: NetworkObject | undefined,
  containers: Iterable<FakeContainer>,
): EngineNetworkMembers | undefined {
  const members = [...containers].flatMap(({ id, name, attachments }) =>
    [...attachments.values()].flatMap(({ endpoint }) =>
      endpoint?.network === network ? [{ containerId: id, containerName: name, endpointId: endpoint?.id ?? '' }] : [],
    ),
  );
  return network && { name: network.name, members };
}

export function describeContainer(container: FakeContainer): EngineContainer {
  const { id, name, pid, hostname, ports, attachments, restarts, ran, failure, unhealthy } = container;
  const networks = [...attachments].map(([network, { aliases = [], endpoint, ip, ip6, networkId = '' }]) => ({
    ...{ network, networkId, ip, ip6 },
    endpointId: endpoint?.id ?? '',
    addresses: [endpoint?.address, endpoint?.ipv6Address].flatMap((cidr) => cidr?.split('/')[0] ?? []),
    aliases: [...aliases, id.slice(0, 12)],
  }));
  return { id, name, pid, hostname, ports, networks, restarts, ran, failure, unhealthy };
}

export function hostsPathOf(containerId: string): string {
  return `/var/lib/docker/containers/${containerId}/hosts`;
}

export function unavailable(): OverlaydError {
  return new OverlaydError('engine-unavailable', 'the Docker Engine does not answer', { retryable: true });
}
