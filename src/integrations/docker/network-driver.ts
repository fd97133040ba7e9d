/** The network driver: networks of the engine are bound to networks of the cluster, its endpoints are ours. */
import type { EngineSide } from '../../agent/engine/engine-side.ts';
import { areOthers } from '../../agent/engine/other-names.ts';
import type { Member } from '../../agent/member.ts';
import { parseCidr } from '../../core/cidr.ts';
import { refuseEndpointOptions } from '../../core/endpoint-options.ts';
import {
  type CreateEndpointAnswer,
  type CreateEndpointCall,
  type CreateNetworkCall,
  type DeleteNetworkCall,
  type EndpointCall,
  type ExternalConnectivityCall,
  GLOBAL_ADDRESS_SPACE,
  type JoinAnswer,
  type JoinCall,
  LOCAL_ADDRESS_SPACE,
  type NetworkPool,
} from '../../core/engine/driver-calls.ts';
import { ID_OPTION, NETWORK_OPTION } from '../../core/engine/engine.ts';
import { isRouted, joinAnswer } from '../../core/engine/join.ts';
import { type Binding, placeholdersOf } from '../../core/engine/network-offers.ts';
import { isPlaceholder } from '../../core/engine/placeholder.ts';
import { isOverlaydError, OverlaydError, removedNode } from '../../core/errors.ts';
import { FAMILIES, type Family } from '../../core/ip.ts';
import { checkNetworkName } from '../../core/names.ts';
import { differingOption, networkSettings } from '../../core/network-options.ts';
import type { NetworkRequest } from '../../core/network-request.ts';
import type { NetworkRecord } from '../../core/records.ts';
import { requireFamily } from './families.ts';
import { CREATE_LINE } from './ipam-driver.ts';
import type { OpeningPool, OpeningPools } from './pools.ts';

export interface NetworkDriverDeps {
  readonly pools: OpeningPools;
  readonly member: () => Member;
  readonly side: () => EngineSide;
}

export function createNetworkDriver({ pools, member, side }: NetworkDriverDeps) {
  /** The network that is there already: the one with the subnet, or by its name where the subnet is not known. */
  async function find({ name = '', pools: asked }: Asked): Promise<NetworkRecord | undefined> {
    const named = asked.find(({ pool }) => !isPlaceholder(pool));
    if (named) return member().networks.withSubnet(named.pool);
    const found = await member()
      .networks.find(name)
      .catch((error: unknown) => {
        if (!isOverlaydError(error, 'network-not-found')) throw error;
      });
    return found && found.name === name ? found : undefined;
  }

  return {
    async createNetwork(call: CreateNetworkCall): Promise<void> {
      const { networks } = side();
      if (networks.bindingOf(call.networkId)) return;
      const asking = requirePools(call);
      const openings = asking.map(({ pool }) => pools.find(pool));
      for (const { pool } of asking) pools.close(pool);
      const named = asking.find(({ pool }) => !isPlaceholder(pool))?.pool;
      const [opening] = openings;
      const { [ID_OPTION]: id, [NETWORK_OPTION]: said, ...options } = call.options;
      const asked: Asked = {
        internal: call.internal,
        id,
        name: nameOf(said, opening),
        options,
        pools: asking,
        openings,
      };
      const bind = async (network: NetworkRecord, origin: Binding['origin']) => {
        const placeholders = placeholdersOf(asking.map(({ pool }) => pool));
        await networks.bind(call.networkId, { networkId: network.id, origin, ...placeholders });
      };
      if (id === undefined) requireName(asked);
      const known = await find(asked);
      if (known) {
        requireSame(known, asked);
        return bind(known, id === undefined ? 'bound' : 'offered');
      }
      if (id !== undefined || (!opening && named !== undefined)) {
        throw new OverlaydError('network-not-found', `the network with subnet ${named} is not there any more`);
      }
      if (member().removed) throw removedNode();
      const name = requireName(asked);
      await networks.whileCreating(name, async () => {
        try {
          await bind(await member().networks.create(requestFor(name, asked)), 'created');
        } catch (error) {
          if (!isOverlaydError(error, 'network-exists')) throw error;
          // Made on another host meanwhile, by the same file as like as not.
          const made = await member().networks.find(name);
          requireSame(made, asked);
          await bind(made, 'bound');
        }
      });
    },

    /**
     * The removal of a network that is not its creator's own takes it from this engine only, and so does any on a host that
     * is no member any more.
     */
    async deleteNetwork({ networkId }: DeleteNetworkCall, signal: AbortSignal): Promise<void> {
      const { networks } = side();
      const binding = networks.bindingOf(networkId);
      const network = binding && member().view.network(binding.networkId);
      try {
        const isMeant = networks.isMeant(networkId) && !member().removed;
        if (network?.state === 'active' && isMeant) await member().networks.remove(network.id, signal);
        await networks.dropped(networkId);
      } finally {
        networks.sync();
      }
    },

    async createEndpoint(call: CreateEndpointCall): Promise<CreateEndpointAnswer> {
      const network = side().networks.networkOf(call.networkId);
      const addresses = [call.address, call.ipv6Address].flatMap((address) =>
        address === undefined ? [] : bare(address),
      );
      if (addresses.length === 0) {
        throw new OverlaydError(
          'invalid-argument',
          `network ${network.name} was made without overlayd's IPAM driver; make it anew: ${CREATE_LINE}`,
        );
      }
      const refused = refuseEndpointOptions(call.options, side().version);
      if (refused !== undefined) throw new OverlaydError('unknown-option', refused);
      const { mac } = await side().endpoints.create(network, {
        endpointId: call.endpointId,
        networkId: call.networkId,
        addresses,
        mac: call.mac,
        ...(areOthers(call.dnsServers ?? []) && { otherServers: true }),
      });
      if (call.dnsServers) side().noteNameServers(call.endpointId, call.dnsServers);
      return call.mac === undefined ? { mac } : {};
    },

    async join(call: JoinCall): Promise<JoinAnswer> {
      const network = side().networks.networkOf(call.networkId);
      const { publishesPorts, sandbox } = call;
      const ports = hasRoutedFamily(network) ? (call.ports ?? []) : [];
      const { ifname, engine, record } = await side().endpoints.join(call.endpointId, { sandbox, ports });
      const addresses = record.addresses.map(({ ip }) => ip);
      return joinAnswer({ link: ifname, network, addresses, publishesPorts, serviceRoute: engine?.serviceRoute });
    },

    /** The engine has taken the link out of the container, or is about to; removing the endpoint removes it. */
    async leave(): Promise<void> {},

    async deleteEndpoint({ endpointId }: EndpointCall): Promise<void> {
      await side().endpoints.remove(endpointId);
    },

    async programExternalConnectivity(call: ExternalConnectivityCall): Promise<void> {
      const network = side().networks.networkOf(call.networkId);
      const addresses =
        member()
          .local.byEngine(call.endpointId)
          ?.record.addresses.map(({ ip }) => ip) ?? [];
      // Those of a network that is routed were opened when the container joined.
      if (!call.publishesPorts || isRouted(network, addresses)) return;
      // Only when the container was to have no ports when it joined: the engine publishes those itself.
      throw new OverlaydError(
        'conflict',
        'the published ports were not known when the container joined; start it again',
        {
          retryable: true,
        },
      );
    },
  };
}

/** Only the host's filter knows which of a container's addresses they are open at. */
function hasRoutedFamily(network: NetworkRecord): boolean {
  return !network.internal && Object.values(networkSettings(network).gatewayModes).includes('routed');
}

function requirePools({ ipv4, pools, ipv6Pools }: CreateNetworkCall): Pools {
  if (!ipv4 && ipv6Pools.length === 0) {
    throw new OverlaydError(
      'invalid-argument',
      'a network without IPv4 needs IPv6: add --ipv6, or leave --ipv4=false out',
    );
  }
  const [first, ...more] = [...pools, ...ipv6Pools];
  const isOurs = ({ addressSpace }: NetworkPool) => [LOCAL_ADDRESS_SPACE, GLOBAL_ADDRESS_SPACE].includes(addressSpace);
  if (!first || ![first, ...more].every(isOurs)) {
    throw new OverlaydError(
      'invalid-argument',
      `a network of driver overlayd needs overlayd's IPAM driver too, or hosts would give the same address twice: ${CREATE_LINE}`,
    );
  }
  for (const each of [pools, ipv6Pools]) {
    if (each.length < 2 || !each.some(({ pool }) => isPlaceholder(pool))) continue;
    throw new OverlaydError('invalid-argument', 'of several subnets each has to be named (--subnet)');
  }
  return [first, ...more];
}

interface Asked {
  readonly internal: boolean;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly options: Readonly<Record<string, string>>;
  /** Of both families, IPv4 first. */
  readonly pools: Pools;
  /** Of each pool. */
  readonly openings: readonly (OpeningPool | undefined)[];
}

type Pools = readonly [NetworkPool, ...NetworkPool[]];

/** As `-o net=` or `--ipam-opt net=` say; what the agent offers has its id. */
function nameOf(said: string | undefined, opening: OpeningPool | undefined): string | undefined {
  if (said !== undefined && opening?.network !== undefined && said !== opening.network) {
    throw new OverlaydError('conflict', `-o net=${said} and --ipam-opt net=${opening.network} differ; leave -o out`);
  }
  return said ?? opening?.network;
}

function requireName({ name, openings: [opening] }: Asked): string {
  if (name !== undefined) return checkNetworkName(name);
  if (!opening) {
    throw new OverlaydError('conflict', 'the overlayd agent was started anew meanwhile; make the network again', {
      retryable: true,
    });
  }
  throw new OverlaydError(
    'invalid-argument',
    `${NETWORK_OPTION}=NAME is missing: it says which network of the cluster this is: ${CREATE_LINE}; in Compose, driver_opts: {${NETWORK_OPTION}: NAME}`,
  );
}

function requestFor(name: string, { internal, options, pools, openings }: Asked): NetworkRequest {
  const named = pools.filter(({ pool }) => !isPlaceholder(pool));
  const families = familiesIn(pools);
  return {
    ...{ name, attachable: true, internal, ipv4: families.has(4), ipv6: families.has(6), labels: {}, options },
    subnets: named.map(({ pool }) => pool),
    gateways: named.flatMap(({ gateway }) => (gateway === undefined ? [] : bare(gateway))),
    ipRanges: openings.flatMap((opening) => opening?.subPool ?? []),
    auxAddresses: auxAddressesOf(named),
  };
}

/** By name, which is one for each pool. */
function auxAddressesOf(pools: readonly NetworkPool[]): NetworkRequest['auxAddresses'] {
  const all = pools.flatMap(({ auxAddresses }) => Object.entries(auxAddresses));
  const byName = [...Map.groupBy(all, ([each]) => each)];
  return Object.fromEntries(byName.map(([each, of]) => [each, of.map(([, address]) => bare(address))]));
}

function familiesIn(pools: Pools): ReadonlySet<Family | undefined> {
  return new Set(pools.map(({ pool }) => parseCidr(pool)?.ip.family));
}

/** What is asked of a network that is there must be what it is. */
function requireSame(network: NetworkRecord, { internal, id, name, options, pools, openings }: Asked): void {
  const known = network.subnets.map(({ cidr }) => cidr);
  const all = known.join(', ');
  const wanted = familiesIn(pools);
  const differs = (what: string) =>
    new OverlaydError(
      'conflict',
      `network ${network.name} is there already ${what}; leave the option out, or choose another net=NAME`,
    );
  if ((id ?? network.id) !== network.id || (name ?? network.name) !== network.name) throw differs(`with subnet ${all}`);
  for (const family of FAMILIES) requireFamily(network, family, wanted.has(family));
  // It may have got another one since it was written down what it is.
  const other = pools.findIndex(({ pool }) => !isPlaceholder(pool) && !known.includes(pool));
  if (other >= 0) {
    if (openings[other]?.asked) throw differs(`and has subnet ${all}, not ${pools[other]!.pool}`);
    const message = `network ${network.name} has just been made on another host, with another subnet; try again`;
    throw new OverlaydError('conflict', message, { retryable: true });
  }
  if (internal !== network.internal) throw differs(network.internal ? 'and is --internal' : 'and is not --internal');
  const different = differingOption(options, network.options);
  if (different !== undefined) throw differs(`with ${different}=${network.options[different] ?? '(unset)'}`);
}

/** The address of a CIDR. */
function bare(address: string): string {
  return address.replace(/\/\d+$/, '');
}
