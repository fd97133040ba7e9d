/**
 * The IPAM driver: pools are the subnets of the cluster's networks, addresses are claims in etcd. The engine names the
 * network by `--ipam-opt net=NAME` when it asks for the pool, and after that by the pool's id alone.
 */
import type { Member } from '../../agent/member.ts';
import type {
  ReleaseAddressCall,
  ReleasePoolCall,
  RequestAddressAnswer,
  RequestAddressCall,
  RequestPoolAnswer,
  RequestPoolCall,
} from '../../core/docker/driver-calls.ts';
import { isEndpointName } from '../../core/docker/endpoint-names.ts';
import { ID_OPTION, NETWORK_OPTION } from '../../core/docker/engine.ts';
import { formatPoolId, parsePoolId } from '../../core/docker/pool-id.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { parseCidr } from '../../core/ip.ts';
import { checkNetworkName } from '../../core/names.ts';
import type { NetworkRecord } from '../../core/records.ts';
import type { OpeningPools } from './pools.ts';

export interface IpamDriverDeps {
  readonly pools: OpeningPools;
  readonly member: () => Member;
}

export const CREATE_LINE =
  'docker network create -d overlayd --ipam-driver overlayd --ipam-opt net=NAME NAME (or `overlayd network create NAME`, which every Docker of the cluster then has)';

const OPTIONS: readonly string[] = [NETWORK_OPTION, ID_OPTION];

export function createIpamDriver({ pools, member }: IpamDriverDeps) {
  /** Undefined when there is no such network yet. */
  async function find(name: string): Promise<NetworkRecord | undefined> {
    try {
      const network = await member().networks.find(name);
      return network.name === name ? network : undefined;
    } catch (error) {
      if (isOverlaydError(error, 'network-not-found')) return undefined;
      throw error;
    }
  }

  async function ofPool(poolId: string): Promise<NetworkRecord | undefined> {
    const pool = parsePoolId(poolId);
    const network = pool && (await find(pool.network));
    return network?.subnets[0]?.cidr === pool?.cidr ? network : undefined;
  }

  return {
    async requestPool(call: RequestPoolCall): Promise<RequestPoolAnswer> {
      const unknown = Object.keys(call.options).find((option) => !OPTIONS.includes(option));
      if (unknown !== undefined) {
        throw new OverlaydError('unknown-option', `unknown --ipam-opt "${unknown}"; there is net=NAME`);
      }
      if (call.ipv6) throw new OverlaydError('invalid-argument', 'IPv6 is not supported yet; leave --ipv6 out');
      const name = call.options[NETWORK_OPTION];
      if (name === undefined) {
        throw new OverlaydError(
          'invalid-argument',
          `--ipam-opt ${NETWORK_OPTION}=NAME is missing: it says which network of the cluster this is: ${CREATE_LINE}`,
        );
      }
      checkNetworkName(name);
      const network = await find(name);
      const id = call.options[ID_OPTION];
      if (id !== undefined && network?.id !== id) {
        throw new OverlaydError('network-not-found', `network ${name} of that id is not there any more`);
      }
      const { cidr, gateway } = network ? agreed(network, call) : await member().networks.propose(call.pool, taken());
      pools.add({ network: name, cidr, gateway, subPool: call.subPool, exists: network !== undefined });
      return { poolId: formatPoolId({ network: name, cidr }), pool: cidr, gateway: `${gateway}/${prefixOf(cidr)}` };
    },

    async releasePool({ poolId }: ReleasePoolCall): Promise<void> {
      const pool = parsePoolId(poolId);
      if (pool) pools.close(pool.cidr);
    },

    async requestAddress(call: RequestAddressCall): Promise<RequestAddressAnswer> {
      const pool = parsePoolId(call.poolId);
      if (!pool) {
        throw new OverlaydError('invalid-argument', `"${call.poolId.slice(0, 80)}" is not a pool of overlayd`);
      }
      const prefix = prefixOf(pool.cidr);
      const network = await ofPool(call.poolId);
      const opening = pools.find(pool.cidr);
      if (!network) {
        // What the user wants of it is checked as a whole when the network is made.
        const address = call.address ?? (call.gateway ? opening?.gateway : undefined);
        if (opening && address !== undefined) return { address: `${address}/${prefix}` };
        throw new OverlaydError(
          'network-not-found',
          `network ${pool.network} with subnet ${pool.cidr} is not there any more; \`overlayd network ls\` lists those there are`,
        );
      }
      const { gateway, auxAddresses } = network.subnets[0]!;
      if (call.gateway) {
        if (call.address === undefined || call.address === gateway) return { address: `${gateway}/${prefix}` };
        throw new OverlaydError(
          'conflict',
          `gateway: network ${network.name} has gateway ${gateway}; leave --gateway out`,
        );
      }
      if (opening && call.address !== undefined && Object.values(auxAddresses).includes(call.address)) {
        return { address: `${call.address}/${prefix}` };
      }
      const { address: ip, endpointName: name } = call;
      const wanted = { ip, name: name !== undefined && isEndpointName(name) ? name : undefined };
      return { address: `${await member().engineEndpoints.reserve(network, wanted)}/${prefix}` };
    },

    /** Needs no etcd: an engine that cleans up as it starts has many of them. */
    async releaseAddress({ poolId, address }: ReleaseAddressCall): Promise<void> {
      const pool = parsePoolId(poolId);
      const known = member().networks.list();
      const network = known.find(({ name, subnets }) => name === pool?.network && subnets[0]?.cidr === pool.cidr);
      if (network) await member().engineEndpoints.release(network.id, address);
    },
  };

  /** Of networks that are about to be made: each wants a subnet of its own. */
  function taken(): string[] {
    return pools.all().flatMap(({ exists, cidr }) => (exists ? [] : [cidr]));
  }

  /** What is asked of a network that is there must be what it is. */
  function agreed(network: NetworkRecord, { pool, subPool }: RequestPoolCall): { cidr: string; gateway: string } {
    const { cidr, ipRange, gateway } = network.subnets[0]!;
    if (pool !== undefined && pool !== cidr) {
      throw new OverlaydError(
        'conflict',
        `network ${network.name} is there already and has subnet ${cidr}, not ${pool}; leave --subnet out, or choose another net=NAME`,
      );
    }
    if (subPool !== undefined && subPool !== ipRange) {
      throw new OverlaydError(
        'conflict',
        `network ${network.name} is there already and has ${ipRange === undefined ? 'no --ip-range' : `--ip-range ${ipRange}`}; leave --ip-range out`,
      );
    }
    // An unnamed subnet to which this host routes is asked for again and again, until another one comes.
    if (pool === undefined && pools.find(cidr)) {
      throw new OverlaydError(
        'conflict',
        `network ${network.name} is in use on this host: give its subnet too, --subnet ${cidr}; or use the Docker network named ${network.name}, which is the same`,
      );
    }
    return { cidr, gateway };
  }
}

function prefixOf(cidr: string): number {
  return parseCidr(cidr)!.prefix;
}
