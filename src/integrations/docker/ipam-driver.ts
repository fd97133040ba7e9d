/**
 * The IPAM driver: pools are the subnets of the cluster's networks, addresses are claims in etcd. The engine names the
 * network by `--ipam-opt net=NAME` when it asks for the pool, or only later, to the network driver, by `-o net=NAME`;
 * after that it knows the pool's id alone. Where the subnet cannot be known yet, a placeholder stands for it.
 */
import type { EngineSide } from '../../agent/engine/engine-side.ts';
import type { Member } from '../../agent/member.ts';
import { formatCidr, parseCidr } from '../../core/cidr.ts';
import type {
  ReleaseAddressCall,
  ReleasePoolCall,
  RequestAddressAnswer,
  RequestAddressCall,
  RequestPoolAnswer,
  RequestPoolCall,
} from '../../core/engine/driver-calls.ts';
import { isEndpointName } from '../../core/engine/endpoint-names.ts';
import { ID_OPTION, NETWORK_OPTION } from '../../core/engine/engine.ts';
import { describeStray } from '../../core/engine/offer-problems.ts';
import { choosePlaceholder, isPlaceholder } from '../../core/engine/placeholder.ts';
import { formatPoolId, type PoolId, parsePoolId } from '../../core/engine/pool-id.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { Family } from '../../core/ip.ts';
import { checkNetworkName } from '../../core/names.ts';
import type { NetworkRecord, SubnetSpec } from '../../core/records.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { Random } from '../../ports/runtime.ts';
import { firstOfFamily } from './families.ts';
import type { OpeningPools } from './pools.ts';

export interface IpamDriverDeps {
  readonly pools: OpeningPools;
  readonly member: () => Member;
  readonly side: () => EngineSide;
  readonly random: Random;
}

export const CREATE_LINE =
  'docker network create -d overlayd --ipam-driver overlayd --ipam-opt net=NAME NAME (or `overlayd network create NAME`, which every Docker of the cluster then has)';

const OPTIONS: readonly string[] = [NETWORK_OPTION, ID_OPTION];
/** An engine asks for another pool as long as it has a route to the one that it got: more than any number of users. */
const MOST_PLACEHOLDERS = 64;

export function createIpamDriver({ pools, member, side, random }: IpamDriverDeps) {
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

  async function ofPool({ network: name, cidr }: PoolId): Promise<NetworkRecord | undefined> {
    if (isPlaceholder(cidr)) return side().networks.byPlaceholder(cidr);
    if (name === undefined) return member().networks.withSubnet(cidr);
    const network = await find(name);
    return network && subnetOf(network, cidr) ? network : undefined;
  }

  return {
    async requestPool(asking: RequestPoolCall): Promise<RequestPoolAnswer> {
      const call = { ...asking, pool: canonicalText(asking.pool), subPool: canonicalText(asking.subPool) };
      const unknown = Object.keys(call.options).find((option) => !OPTIONS.includes(option));
      if (unknown !== undefined) {
        throw new OverlaydError('unknown-option', `unknown --ipam-opt "${unknown}"; there is net=NAME`);
      }
      const name = call.options[NETWORK_OPTION];
      if (name !== undefined) checkNetworkName(name);
      const id = call.options[ID_OPTION];
      const choose = async () => {
        const network = await known(name, call);
        if (id !== undefined && network?.id !== id) {
          throw new OverlaydError('network-not-found', `network ${name} of that id is not there any more`);
        }
        return { ...(await poolFor(name, network, call)), exists: network !== undefined };
      };
      const { cidr, gateway, exists } = await choose().catch((error: unknown) => {
        if (!isOverlaydError(error, 'pool-overlaps')) throw error;
        // Perhaps with the network that is meant, made on another host since this one looked.
        return choose();
      });
      const asked = call.pool !== undefined;
      pools.add({ network: name, cidr, gateway, asked, subPool: call.subPool, exists });
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
      const network = await ofPool(pool);
      const opening = pools.find(pool.cidr);
      const stray = side().networks.strayOn(pool);
      if (stray) throw new OverlaydError('conflict', describeStray(stray));
      if (!network) return { address: `${addressOfOpening(call, pool)}/${prefixOf(pool.cidr)}` };
      // The engine gives up at the first pool that is full: an address of any subnet is an answer to any pool.
      const family = familyOfCidr(pool.cidr);
      const { gateway, auxAddresses } = subnetOf(network, pool.cidr) ?? firstOfFamily(network, family);
      const answer = (address: string) => {
        // The network may have got the subnet while an address was claimed.
        const { subnets } = member().view.network(network.id) ?? network;
        return { address: `${address}/${prefixOf(subnetWith(subnets, address)!.cidr)}` };
      };
      if (call.gateway) {
        if (call.address === undefined || call.address === gateway) return answer(gateway);
        throw new OverlaydError(
          'conflict',
          `gateway: network ${network.name} has gateway ${gateway}; leave --gateway out`,
        );
      }
      if (opening && call.address !== undefined && Object.values(auxAddresses).includes(call.address)) {
        return answer(call.address);
      }
      const { address: ip, endpointName: name } = call;
      const wanted = { family, ip, name: name !== undefined && isEndpointName(name) ? name : undefined };
      return answer(await member().engineEndpoints.reserve(network, wanted));
    },

    /** Needs no etcd: an engine that cleans up as it starts has many of them. */
    async releaseAddress({ poolId, address }: ReleaseAddressCall): Promise<void> {
      const pool = parsePoolId(poolId);
      if (!pool) return;
      const { network: name, cidr } = pool;
      const network = isPlaceholder(cidr)
        ? side().networks.byPlaceholder(cidr)
        : member()
            .networks.list()
            .find((each) => subnetOf(each, cidr) && (name ?? each.name) === each.name);
      if (network) await member().engineEndpoints.release(network.id, address);
    },
  };

  /** The network that is there already. */
  async function known(name: string | undefined, { pool }: RequestPoolCall): Promise<NetworkRecord | undefined> {
    if (name !== undefined) return find(name);
    return pool === undefined ? undefined : member().networks.withSubnet(pool);
  }

  async function poolFor(
    name: string | undefined,
    network: NetworkRecord | undefined,
    call: RequestPoolCall,
  ): Promise<{ cidr: string; gateway: string }> {
    if (network) requireSame(network, call);
    if (network && call.pool !== undefined) return subnetOf(network, call.pool)!;
    const family = call.ipv6 ? 6 : 4;
    if (network || (name === undefined && call.pool === undefined)) return placeholder(family);
    return member().networks.propose(call.pool, takenBesides(call.pool), family);
  }

  function placeholder(family: Family): { cidr: string; gateway: string } {
    const open = pools.all().flatMap(({ cidr }) => (isPlaceholder(cidr) ? [cidr] : []));
    if (open.length < MOST_PLACEHOLDERS) {
      return choosePlaceholder(family, new Set([...open, ...side().networks.placeholders]), () => random.next());
    }
    throw new OverlaydError(
      'conflict',
      'Docker takes none of the pools that it is offered, since this host has a route to all of 240.0.0.0/4: name the subnet of the network (--subnet; in Compose: ipam: {driver: overlayd, config: [{subnet: …}]})',
    );
  }

  /** Of networks that are about to be made: each wants a subnet of its own. Who asks for the same one means the same. */
  function takenBesides(asked: string | undefined): string[] {
    return pools.all().flatMap(({ exists, cidr }) => (exists || isPlaceholder(cidr) || cidr === asked ? [] : [cidr]));
  }

  /** Before the network is made. What the user wants of it is checked as a whole then. */
  function addressOfOpening({ address, gateway }: RequestAddressCall, { network, cidr }: PoolId): string {
    const opening = pools.find(cidr);
    if (opening && gateway && address === undefined) return opening.gateway;
    if (opening && address !== undefined && !isPlaceholder(cidr)) return address;
    if (opening && (gateway || address !== undefined)) {
      throw new OverlaydError('invalid-argument', 'a gateway or an aux-address needs a subnet that it lies in');
    }
    if (isPlaceholder(cidr)) {
      throw new OverlaydError(
        'network-not-found',
        `the pool ${cidr} is of no network of overlayd, or not any more: the network's driver has to be overlayd as well as its IPAM driver: ${CREATE_LINE}`,
      );
    }
    throw new OverlaydError(
      'network-not-found',
      `there is no network ${network === undefined ? '' : `${network} `}with subnet ${cidr}, or not any more; \`overlayd network ls\` lists those there are. The network's driver has to be overlayd as well as its IPAM driver`,
    );
  }

  /** What is asked of a network that is there must be what it is. */
  function requireSame(network: NetworkRecord, { ipv6, pool, subPool }: RequestPoolCall): void {
    const first = firstOfFamily(network, ipv6 ? 6 : 4);
    const subnet = pool === undefined ? first : subnetOf(network, pool);
    if (subnet === undefined) {
      throw new OverlaydError(
        'conflict',
        `network ${network.name} is there already and has subnet ${network.subnets.map(({ cidr }) => cidr).join(', ')}, not ${pool}; leave the subnet out, or choose another net=NAME`,
      );
    }
    const { ipRange } = subnet;
    if (subPool !== undefined && subPool !== ipRange) {
      throw new OverlaydError(
        'conflict',
        `network ${network.name} is there already and has ${ipRange === undefined ? 'no --ip-range' : `--ip-range ${ipRange}`}; leave --ip-range out`,
      );
    }
  }
}

/** Of which the engine knows by that pool; undefined for a placeholder. */
function subnetOf({ subnets }: NetworkRecord, cidr: string): SubnetSpec | undefined {
  return subnets.find((subnet) => subnet.cidr === cidr);
}

/** As records have it; what is no CIDR as it is. */
function canonicalText(cidr: string | undefined): string | undefined {
  const parsed = cidr === undefined ? undefined : parseCidr(cidr);
  return parsed ? formatCidr(parsed) : cidr;
}

function familyOfCidr(cidr: string): Family {
  return parseCidr(cidr)!.ip.family;
}

function prefixOf(cidr: string): number {
  return parseCidr(cidr)!.prefix;
}
