/** The control service: translates, calls the same use-cases as every other front door, and renders records. */
import { releaseKept } from '../../agent/claims/kept-addresses.ts';
import { getNode, isSelf, listNodes, type NodesDeps } from '../../agent/cluster/nodes.ts';
import { listTokens } from '../../agent/cluster/tokens.ts';
import type { Doctor } from '../../agent/doctor.ts';
import type { ConnectRequest as ConnectOptions } from '../../agent/endpoints/endpoints.ts';
import type { IpamRepair } from '../../agent/endpoints/ipam-repair.ts';
import type { Exposing } from '../../agent/expose/exposing.ts';
import { ipamRepair } from '../../agent/keeper-work.ts';
import type { Lifecycle, Membership } from '../../agent/lifecycle.ts';
import type { Member } from '../../agent/member.ts';
import {
  addStaticNames,
  listStaticNames,
  removeStaticNames,
  type StaticNamesDeps,
} from '../../agent/names/static-names.ts';
import { isRemoved, type Report, removedAdvice } from '../../agent/report.ts';
import { OverlaydError } from '../../core/errors.ts';
import { isWrittenAsNamespace, parseNamedContainer } from '../../core/named-container.ts';
import { parsePruneFilters } from '../../core/network-filter.ts';
import type { EndpointRecord } from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import type {
  AddDnsRequest,
  AddSubnetRequest,
  ClusterEvent,
  ConnectRequest,
  CreateNetworkRequest,
  CreateTokenRequest,
  DisconnectRequest,
  DnsQuery,
  EndpointQuery,
  InitRequest,
  IpamRequest,
  JoinClusterRequest,
  LeaveRequest,
  PruneRequest,
  Ref,
  ReleaseKeptRequest,
  RemoveDnsRequest,
  RemoveRequest,
  RotateKeyRequest,
  Token,
  UpdateNodeRequest,
} from '../../gen/overlayd/v1/control.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Pki } from '../../ports/identity.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import { caHandlers } from './ca-handlers.ts';
import { doctorHandlers } from './doctor-handlers.ts';
import { type DriftHandlersDeps, driftHandlers } from './drift-handlers.ts';
import { connectThroughEngine } from './engine-container.ts';
import { type EventHandlersDeps, eventHandlers } from './event-handlers.ts';
import { exposeHandlers } from './expose-handlers.ts';
import { connectThroughIncus, disconnectThroughIncus, type ThroughIncus } from './incus-instance.ts';
import { type LookHandlersDeps, lookHandlers } from './look-handlers.ts';
import {
  dnsMessage,
  endpointMessage,
  ipamMessage,
  keptMessage,
  networkMessage,
  nodeMessage,
  tokenMessage,
  tunnelsOf,
} from './messages.ts';
import { publishHandlers } from './publish-handlers.ts';
import { recordHandlers } from './record-handlers.ts';
import { serviceHandlers } from './service-handlers.ts';
import { type StatusFacts, statusMessage } from './status.ts';
import { type StoreHandlersDeps, storeHandlers } from './store-handlers.ts';

export interface HandlersDeps extends EventHandlersDeps, DriftHandlersDeps, LookHandlersDeps {
  readonly lifecycle: Lifecycle;
  readonly pki: Pki;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly status: StatusFacts;
  readonly report: Report;
  readonly doctor: Doctor;
  readonly facts: Pick<HostFacts, 'bindProblem'>;
  readonly storeWork: StoreHandlersDeps['storeWork'];
  readonly exposing: Exposing;
  readonly incus?: ThroughIncus;
  /** Resolves when tools that keep their networks in files have what there is by now. */
  readonly offered?: () => Promise<void>;
}

export interface HandlersOptions {
  readonly quarantineSeconds: number;
}

export type Emit = (event: ClusterEvent) => void;

/** One handler for each method of the service, by its name; `serveControl` checks that none is missing. */
export function createHandlers(deps: HandlersDeps, options: HandlersOptions) {
  const { lifecycle, clock } = deps;
  const membership = (): Membership => lifecycle.require();
  const member = (): Member => membership().member;
  /** For what changes the cluster. The certificate of a removed node opens etcd still, so it has to hold back itself. */
  const active = (): Membership => {
    const found = membership();
    if (!isRemoved(found)) return found;
    throw new OverlaydError('not-joined', removedAdvice(found));
  };

  /** A keeper that is asked takes what means this node for itself. */
  const nodeRef = (ref: string): string => {
    const { view, self } = member();
    return isSelf(view.nodes(), ref) ? self.id : ref;
  };

  const ipam = ({ member: of, store, keepers }: Membership): IpamRepair =>
    ipamRepair({ ...deps, store, member: () => of }, options, keepers);

  return {
    getStatus: () => statusMessage(deps.report, lifecycle, deps.status),

    initCluster: async (request: InitRequest, emit: Emit) => {
      const { identity, joinCommand, warnings } = await lifecycle.init(request, progressTo(emit));
      await lifecycle.current?.member.wireguard.offered();
      emit(resultEvent(identity, joinCommand, warnings));
    },
    joinCluster: async (request: JoinClusterRequest, emit: Emit) => {
      const progress = progressTo(emit);
      const { identity, joinCommand, warnings } = await lifecycle.join(request, progress);
      // So that the next line of a script may make an encrypted network.
      await lifecycle.current?.member.wireguard.offered();
      progress('offering the networks to Docker');
      // So that the next line of a script may be `docker run --network`.
      const offered = (await lifecycle.current?.engineSide?.networks.awaitAll()) ?? true;
      const late = offered
        ? []
        : ['Docker does not have all networks of the cluster yet; `overlayd status` counts them'];
      emit(resultEvent(identity, joinCommand, [...warnings, ...late]));
    },
    leaveCluster: async (request: LeaveRequest, emit: Emit) => {
      const { clusterId, nodeId, name } = await lifecycle.identity();
      const warnings = await lifecycle.leave(request, progressTo(emit));
      emit(resultEvent({ clusterId, nodeId, name }, '', warnings));
    },

    listNodes: async () => {
      return { nodes: listNodes(nodesDeps(membership(), clock)).map((status) => nodeMessage(status)) };
    },
    getNode: async ({ ref }: Ref) => {
      const status = getNode(nodesDeps(membership(), clock), ref);
      await member().wireguard.looked();
      return { ...nodeMessage(status), tunnel: tunnelsOf(member()).get(status.record.id) };
    },
    removeNode: async (request: RemoveRequest): Promise<Ref> => {
      const { nodeId } = await active().keepers.ask('evict', { ...request, ref: nodeRef(request.ref) });
      return { ref: nodeId };
    },
    updateNode: (request: UpdateNodeRequest): Promise<Ref> =>
      active().keepers.ask('updateNode', { ...request, ref: nodeRef(request.ref) }),

    rotateKey: async ({ force }: RotateKeyRequest, emit: Emit, gone: AbortSignal) => {
      const { identity, member: of } = active();
      await of.wireguard.rotation.rotate({ force }, progressTo(emit), gone);
      emit(resultEvent(identity, '', []));
    },

    ...doctorHandlers(deps.doctor),
    ...storeHandlers(deps, active, membership),
    ...caHandlers(deps, active, membership),
    ...publishHandlers(deps, active, membership),
    ...exposeHandlers(deps, active, membership),
    ...eventHandlers(deps),
    ...driftHandlers(deps, nodeRef),
    ...lookHandlers(deps),
    ...recordHandlers({ ...deps.status, clock: deps.clock }, membership),

    createToken: (request: CreateTokenRequest) => active().keepers.ask('createToken', request),
    listTokens: async () => {
      const { member: of, store } = membership();
      const tokens = await listTokens(store);
      return { tokens: tokens.map((token): Token => tokenMessage(token, of.view.node(token.createdBy)?.name)) };
    },
    getToken: async ({ ref }: Ref): Promise<Token> => {
      const { member: of, store } = membership();
      const token = resolveRef(await listTokens(store), ref, 'token');
      return tokenMessage(token, of.view.node(token.createdBy)?.name);
    },
    revokeToken: async ({ ref }: Ref): Promise<Ref> => {
      const { id } = await active().keepers.ask('revokeToken', { ref });
      return { ref: id };
    },

    createNetwork: async (request: CreateNetworkRequest) => {
      const { member: of, engineSide } = active();
      const network = await of.networks.create(request);
      // So that the next line of a script may be `docker run --network`.
      const [refused] = await Promise.all([engineSide?.networks.awaitOffer(network.id), deps.offered?.()]);
      if (refused !== undefined) {
        throw new OverlaydError(
          'engine-refused',
          `network ${network.name} is made, but containers of this host's Docker cannot join it yet: ${refused}; it is offered again until Docker takes it, and \`overlayd network rm ${network.name}\` removes it`,
        );
      }
      return networkMessage(of, network, { withEndpoints: false });
    },
    listNetworks: async () => {
      const of = member();
      return { networks: of.networks.list().map((network) => networkMessage(of, network, { withEndpoints: false })) };
    },
    getNetwork: async ({ ref }: Ref) => {
      const of = member();
      await of.wireguard.looked();
      return networkMessage(of, await of.networks.find(ref), { withEndpoints: true });
    },
    addSubnet: async ({ network: ref, subnet, gateway, ipRange }: AddSubnetRequest) => {
      const of = active().member;
      const network = await of.networks.addSubnet(ref, {
        subnet,
        gateway: gateway === '' ? undefined : gateway,
        ipRange: ipRange === '' ? undefined : ipRange,
      });
      return networkMessage(of, network, { withEndpoints: false });
    },
    removeNetwork: async ({ ref }: RemoveRequest, signal: AbortSignal) => {
      const { network, waitingFor } = await active().member.networks.remove(ref, signal);
      return { id: network.id, name: network.name, waitingFor: [...waitingFor] };
    },
    pruneNetworks: async ({ filters }: PruneRequest, signal: AbortSignal) => {
      const selects = parsePruneFilters(filters, clock.now());
      const pruned = await active().member.networks.prune(selects, signal);
      return {
        names: pruned.map(({ network }) => network.name),
        waitingFor: [...new Set(pruned.flatMap(({ waitingFor }) => waitingFor))],
      };
    },

    addDns: async ({ network, ...request }: AddDnsRequest) =>
      dnsMessage(await addStaticNames(staticNamesDeps(active()), network, request)),
    removeDns: async ({ network, name, type, values }: RemoveDnsRequest): Promise<Ref> => {
      const request = { name, type: type === '' ? undefined : type, values };
      return { ref: await removeStaticNames(staticNamesDeps(active()), network, request) };
    },
    listDns: async ({ network }: DnsQuery) => {
      const sets = await listStaticNames(staticNamesDeps(membership()), network === '' ? undefined : network);
      return { sets: sets.map(dnsMessage) };
    },

    ...serviceHandlers(deps, options, active, membership),

    checkIpam: async ({ network }: IpamRequest) => ipamMessage(member(), await ipam(membership()).check(network)),
    repairIpam: async ({ network }: IpamRequest) => ipamMessage(member(), await ipam(active()).repair(network)),
    releaseKept: async ({ network, ref }: ReleaseKeptRequest) => {
      const { member: of, store } = active();
      const released = await releaseKept({ ...deps, ...of, store }, await of.networks.find(network), ref, options);
      return { kept: released.map((kept) => keptMessage(of, kept)) };
    },

    connect: async (request: ConnectRequest) => {
      const { member: of, engineSide } = active();
      const options = connectOptions(request);
      if (engineSide && !isWrittenAsNamespace(options.container))
        return await connectThroughEngine(of, engineSide, options);
      const named = parseNamedContainer(options.container);
      if (deps.incus && named?.kind === 'incus') return await connectThroughIncus(of, deps.incus, options, named.name);
      const { endpoint, warnings } = await of.endpoints.connect(options);
      return { endpoint: endpointMessage(of, endpoint.record), warnings: [...warnings] };
    },
    disconnect: async ({ network, container, force }: DisconnectRequest) => {
      const { member: of, engineSide } = membership();
      const engineOwned = engineSide?.containers.find(await of.networks.find(network), container);
      if (engineSide && engineOwned) {
        await engineSide.containers.disconnect(engineOwned, force);
        return endpointMessage(of, engineOwned.record);
      }
      const ofIncus = await disconnectThroughIncus(of, deps.incus, network, container);
      if (ofIncus) return ofIncus;
      const { record } = await of.endpoints.disconnect(network, container, force);
      return endpointMessage(of, record);
    },

    listEndpoints: async ({ network, node }: EndpointQuery) => {
      const of = member();
      const networkId = network === '' ? undefined : (await of.networks.find(network)).id;
      const nodeId = node === '' ? undefined : getNode(nodesDeps(membership(), clock), node).record.id;
      const endpoints = allEndpoints(of).filter(
        (record) =>
          (networkId === undefined || record.networkId === networkId) &&
          (nodeId === undefined || record.nodeId === nodeId),
      );
      return { endpoints: endpoints.map((record) => endpointMessage(of, record)) };
    },
    getEndpoint: async ({ ref }: Ref) => {
      const of = member();
      return endpointMessage(of, findEndpoint(of, ref));
    },
  };
}

/** What the use-cases about nodes need of a membership. */
export function nodesDeps({ member, identity }: Membership, clock: Clock): NodesDeps {
  return {
    view: () => member.view,
    liveness: (nodeId) => member.liveness(nodeId),
    selfId: member.self.id,
    access: identity.store,
    clock,
  };
}

function staticNamesDeps({ member, store }: Membership): StaticNamesDeps {
  const { commit, networks, view } = member;
  return { store, commit, networks, view };
}

/** On all networks and nodes, by network name and then by address. */
function allEndpoints(member: Member): EndpointRecord[] {
  return member.networks.list().flatMap((network) => [...member.view.endpointsOn(network.id)]);
}

/** By NETWORK/NAME as well: several networks may have the name. */
function findEndpoint(member: Member, ref: string): EndpointRecord {
  const { networks, view } = member;
  const describe = ({ name, networkId, nodeId }: EndpointRecord) =>
    `${view.network(networkId)?.name ?? networkId}/${name} on ${view.node(nodeId)?.name ?? nodeId}`;
  const at = ref.indexOf('/');
  if (at < 0) return resolveRef(allEndpoints(member), ref, 'endpoint', describe);
  const network = resolveRef(networks.list(), ref.slice(0, at), 'network');
  return resolveRef(view.endpointsOn(network.id), ref.slice(at + 1), 'endpoint', describe);
}

function connectOptions(request: ConnectRequest): ConnectOptions {
  if (request.network === '' || request.container === '') {
    throw new OverlaydError(
      'invalid-argument',
      'connect needs a network and a container: overlayd network connect NETWORK CONTAINER',
    );
  }
  const given = (text: string) => (text === '' ? undefined : text);
  return {
    network: request.network,
    container: request.container,
    name: given(request.name),
    aliases: request.aliases,
    ip: given(request.ip),
    ip6: given(request.ip6),
    mac: given(request.mac),
    ifname: given(request.ifname),
    ...(request.gwPriority === 0 ? {} : { gwPriority: request.gwPriority }),
    options: request.driverOpts,
    ports: request.ports,
    labels: request.labels,
  };
}

export function progressTo(emit: Emit): (text: string) => void {
  return (progress) => emit({ event: { $case: 'progress', value: progress } });
}

export function resultEvent(
  { clusterId, nodeId, name }: { clusterId: string; nodeId: string; name: string },
  joinCommand: string,
  warnings: readonly string[],
): ClusterEvent {
  const value = { clusterId, nodeId, nodeName: name, joinCommand, warnings: [...warnings] };
  return { event: { $case: 'result', value } };
}
