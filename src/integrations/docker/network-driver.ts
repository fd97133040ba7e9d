/** The network driver: networks of the engine are bound to networks of the cluster, its endpoints are ours. */
import type { EngineSide } from '../../agent/engine/engine-side.ts';
import type { Member } from '../../agent/member.ts';
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
} from '../../core/docker/driver-calls.ts';
import { ID_OPTION, NETWORK_OPTION } from '../../core/docker/engine.ts';
import { joinAnswer } from '../../core/docker/join.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { NetworkRecord } from '../../core/records.ts';
import { CREATE_LINE } from './ipam-driver.ts';
import type { OpeningPools } from './pools.ts';

export interface NetworkDriverDeps {
  readonly pools: OpeningPools;
  readonly member: () => Member;
  readonly side: () => EngineSide;
}

export function createNetworkDriver({ pools, member, side }: NetworkDriverDeps) {
  return {
    async createNetwork(call: CreateNetworkCall): Promise<void> {
      const { networks } = side();
      if (networks.bindingOf(call.networkId)) return;
      const pool = requirePool(call);
      const opening = pools.find(pool.pool);
      pools.close(pool.pool);
      const known = member()
        .networks.list()
        .find(({ subnets }) => subnets[0]?.cidr === pool.pool);
      const { [ID_OPTION]: id, [NETWORK_OPTION]: name, ...options } = call.options;
      if (known) {
        requireSame(known, call, { id, name, options });
        await networks.bind(call.networkId, known.id, id === undefined ? 'bound' : 'offered');
        return;
      }
      if (!opening || id !== undefined) {
        throw new OverlaydError('network-not-found', `the network with subnet ${pool.pool} is not there any more`);
      }
      if (name !== undefined && name !== opening.network) {
        throw new OverlaydError(
          'conflict',
          `-o net=${name} and --ipam-opt net=${opening.network} differ; leave -o out`,
        );
      }
      await networks.whileCreating(opening.network, async () => {
        const made = await member().networks.create({
          name: opening.network,
          attachable: true,
          internal: call.internal,
          subnets: [pool.pool],
          gateways: pool.gateway === undefined ? [] : [bare(pool.gateway)],
          ipRanges: opening.subPool === undefined ? [] : [opening.subPool],
          auxAddresses: Object.fromEntries(
            Object.entries(pool.auxAddresses).map(([each, address]) => [each, bare(address)]),
          ),
          labels: {},
          options,
        });
        await networks.bind(call.networkId, made.id, 'created');
      });
    },

    /** The removal of a network that is not its creator's own takes it from this engine only. */
    async deleteNetwork({ networkId }: DeleteNetworkCall, signal: AbortSignal): Promise<void> {
      const { networks } = side();
      const binding = networks.bindingOf(networkId);
      const network = binding && member().view.network(binding.networkId);
      try {
        if (network?.state === 'active' && networks.isMeant(networkId))
          await member().networks.remove(network.id, signal);
        await networks.unbind(networkId);
      } finally {
        networks.sync();
      }
    },

    async createEndpoint(call: CreateEndpointCall): Promise<CreateEndpointAnswer> {
      const network = side().networks.networkOf(call.networkId);
      if (call.address === undefined) {
        throw new OverlaydError(
          'invalid-argument',
          `network ${network.name} was made without overlayd's IPAM driver; make it anew: ${CREATE_LINE}`,
        );
      }
      const unknown = Object.keys(call.options)[0];
      if (unknown !== undefined) {
        throw new OverlaydError(
          'unknown-option',
          `unknown --driver-opt "${unknown}"; overlayd has none for a container`,
        );
      }
      const { mac } = await side().endpoints.create(network, {
        endpointId: call.endpointId,
        networkId: call.networkId,
        address: bare(call.address),
        mac: call.mac,
      });
      if (call.dnsServers) side().noteNameServers(call.endpointId, call.dnsServers);
      return call.mac === undefined ? { mac } : {};
    },

    async join(call: JoinCall): Promise<JoinAnswer> {
      const network = side().networks.networkOf(call.networkId);
      const { ifname, engine } = await side().endpoints.join(call.endpointId, call.sandbox);
      const { publishesPorts } = call;
      return joinAnswer({ link: ifname, network, publishesPorts, serviceRoute: engine?.serviceRoute });
    },

    /** The engine has taken the link out of the container, or is about to; removing the endpoint removes it. */
    async leave(): Promise<void> {},

    async deleteEndpoint({ endpointId }: EndpointCall): Promise<void> {
      await side().endpoints.remove(endpointId);
    },

    async programExternalConnectivity({ publishesPorts }: ExternalConnectivityCall): Promise<void> {
      if (!publishesPorts) return;
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

function requirePool({ pools, ipv6Pools }: CreateNetworkCall): NetworkPool {
  if (ipv6Pools.length > 0) throw new OverlaydError('invalid-argument', 'IPv6 is not supported yet; leave --ipv6 out');
  const [pool, ...more] = pools;
  if (!pool || ![LOCAL_ADDRESS_SPACE, GLOBAL_ADDRESS_SPACE].includes(pool.addressSpace)) {
    throw new OverlaydError(
      'invalid-argument',
      `a network of driver overlayd needs overlayd's IPAM driver too, or hosts would give the same address twice: ${CREATE_LINE}`,
    );
  }
  if (more.length > 0) {
    throw new OverlaydError(
      'invalid-argument',
      'one IPv4 --subnet per network is supported; create a second network for the other one',
    );
  }
  return pool;
}

interface Asked {
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly options: Readonly<Record<string, string>>;
}

/** What is asked of a network that is there must be what it is. */
function requireSame(network: NetworkRecord, call: CreateNetworkCall, { id, name, options }: Asked): void {
  const differs = (what: string) =>
    new OverlaydError(
      'conflict',
      `network ${network.name} is there already ${what}; leave the option out, or choose another net=NAME`,
    );
  if ((id ?? network.id) !== network.id || (name ?? network.name) !== network.name) {
    throw differs(`with subnet ${network.subnets[0]!.cidr}`);
  }
  if (call.internal !== network.internal)
    throw differs(network.internal ? 'and is --internal' : 'and is not --internal');
  const different = Object.entries(options).find(([option, value]) => network.options[option] !== value)?.[0];
  if (different !== undefined) throw differs(`with ${different}=${network.options[different] ?? '(unset)'}`);
}

/** The address of a CIDR. */
function bare(address: string): string {
  return address.replace(/\/\d+$/, '');
}
