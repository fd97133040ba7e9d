/**
 * Which networks an engine has to be told of, and which it has to forget, so that every network of the cluster is there
 * under its own name and nothing else of ours is. Pure: the engine's list, the cluster's list, and what this host
 * remembers of which is which.
 */
import { parseCidr } from '../cidr.ts';
import { FAMILIES } from '../ip.ts';
import type { NetworkRecord } from '../records.ts';
import { familiesOf, hasFamily } from '../subnets.ts';
import { DRIVER, type EngineNetwork, type EngineNetworkSpec, ID_OPTION, NETWORK_OPTION } from './engine.ts';
import { isPlaceholder } from './placeholder.ts';

/** What this host knows of a network that an engine made with our driver. */
export interface Binding {
  /** The cluster's network. */
  readonly networkId: string;
  /**
   * `offered`: made by the agent; `created`: made by a person, and the cluster's network with it; `bound`: made by a
   * person for a network that was there.
   */
  readonly origin: 'offered' | 'created' | 'bound';
  /** CIDR: the placeholder that the engine takes for the subnet of IPv4. Undefined when it knows the subnet, or has none. */
  readonly pool?: string | undefined;
  /** The same of IPv6. */
  readonly pool6?: string | undefined;
  /** The agent has the engine remove it: that it goes says nothing of the cluster's network, also to a later run of the agent. */
  readonly withdrawn?: true | undefined;
}

export interface OffersInput {
  /** Of the cluster, without those being removed. */
  readonly networks: readonly NetworkRecord[];
  /** The list is whole: what is not in it does not exist. */
  readonly provesAbsence: boolean;
  /** All networks of the engine, whatever their driver. */
  readonly engineNetworks: readonly EngineNetwork[];
  /** By the engine's id. */
  readonly bindings: ReadonlyMap<string, Binding>;
  /** The engine's ids of networks that have endpoints. */
  readonly used: ReadonlySet<string>;
  /** Names of networks that a person is creating through the engine at this moment. */
  readonly beingCreated: ReadonlySet<string>;
  /** The engine's ids of networks that it has removed for good. One that is only not listed may be on its way. */
  readonly gone: ReadonlySet<string>;
  /** The engine can have networks without IPv4. */
  readonly ipv6Alone: boolean;
}

export interface Offers {
  readonly create: readonly NetworkRecord[];
  /** Networks that the engine cannot have, since they have no IPv4. */
  readonly unable: readonly NetworkRecord[];
  readonly remove: readonly EngineNetwork[];
  /**
   * Offered when their networks had one family, which have both by now, and without endpoints. What no container is on, running or
   * not, can be taken away to come back with both.
   */
  readonly renew: readonly EngineNetwork[];
  /** Bindings that were lost and found again in what the engine keeps. */
  readonly rebind: ReadonlyMap<string, Binding>;
  /** Networks whose name the engine has given to another one. */
  readonly taken: readonly { readonly network: NetworkRecord; readonly by: EngineNetwork }[];
  /** Networks of other drivers whose subnets come from ours: containers get no address on them. */
  readonly strays: readonly EngineNetwork[];
}

export function planOffers(input: OffersInput): Offers {
  const { networks, provesAbsence, engineNetworks, bindings, used, beingCreated, gone, ipv6Alone } = input;
  const byId = new Map(networks.map((network) => [network.id, network]));
  const rebind = new Map<string, Binding>();
  const remove: EngineNetwork[] = [];
  const renew: EngineNetwork[] = [];
  const served = new Map<string, { readonly found: EngineNetwork; readonly origin: Binding['origin'] }[]>();
  for (const found of engineNetworks) {
    if (found.driver !== DRIVER) continue;
    const binding = bindings.get(found.id) ?? recover(found, networks);
    const network = binding && byId.get(binding.networkId);
    if (!network) {
      if (provesAbsence) remove.push(found);
      continue;
    }
    if (!bindings.has(found.id)) rebind.set(found.id, binding);
    if (binding.origin === 'offered' && !used.has(found.id) && lacksFamily(found, network)) renew.push(found);
    if (found.name !== network.name) continue;
    served.set(network.id, [...(served.get(network.id) ?? []), { found, origin: binding.origin }]);
  }
  for (const holders of served.values()) remove.push(...superfluous(holders, used));
  const listed = new Set(engineNetworks.map(({ id }) => id));
  // About to be listed, by whatever name, or just being removed: the driver has not been told yet.
  const unlisted = [...bindings].filter(([id]) => !listed.has(id) && !gone.has(id));
  const moving = new Set(unlisted.map(([, { networkId }]) => networkId));
  const missing = networks.filter(({ id, name }) => !served.has(id) && !moving.has(id) && !beingCreated.has(name));
  const going = new Set(remove.map(({ id }) => id));
  const holders = new Map(engineNetworks.filter(({ id }) => !going.has(id)).map((each) => [each.name, each]));
  const isPossible = (network: NetworkRecord) => ipv6Alone || hasFamily(network, 4);
  const free = missing.filter(({ name }) => !holders.has(name));
  return {
    create: free.filter(isPossible),
    unable: free.filter((network) => !isPossible(network)),
    remove,
    renew: renew.filter((each) => !remove.includes(each)),
    rebind,
    taken: missing.flatMap((network) => {
      const by = holders.get(network.name);
      return by ? [{ network, by }] : [];
    }),
    strays: engineNetworks.filter(({ driver, ipamDriver }) => ipamDriver === DRIVER && driver !== DRIVER),
  };
}

/**
 * Two networks of one name, made at the same moment (up to Docker 24): the engine takes neither by its name any more.
 * One stays: one in use before one that is not, one that a person made before an offered one.
 */
function superfluous(
  holders: readonly { readonly found: EngineNetwork; readonly origin: Binding['origin'] }[],
  used: ReadonlySet<string>,
): EngineNetwork[] {
  const stays =
    holders.find(({ found }) => used.has(found.id)) ?? holders.find(({ origin }) => origin !== 'offered') ?? holders[0];
  return holders.filter((each) => each !== stays && !used.has(each.found.id)).map(({ found }) => found);
}

function lacksFamily({ subnets }: EngineNetwork, network: NetworkRecord): boolean {
  const there = { subnets: subnets.map((cidr) => ({ cidr })) };
  return familiesOf(network).some((family) => !hasFamily(there, family));
}

/** What the agent offers says by id which network it is; what a person made says so by name. */
function recover(found: EngineNetwork, networks: readonly NetworkRecord[]): Binding | undefined {
  const id = found.ipamOptions[ID_OPTION];
  if (id !== undefined) return { networkId: id, origin: 'offered' };
  const name = found.ipamOptions[NETWORK_OPTION] ?? found.options[NETWORK_OPTION];
  const network = networks.find((each) => each.name === name);
  return network && { networkId: network.id, origin: 'bound', ...placeholdersOf(found.subnets) };
}

/** What a binding has to say of the pools (CIDRs) that the engine has. */
export function placeholdersOf(pools: readonly string[]): Pick<Binding, 'pool' | 'pool6'> {
  const [pool, pool6] = FAMILIES.map((family) =>
    pools.find((each) => isPlaceholder(each) && parseCidr(each)!.ip.family === family),
  );
  return { ...(pool === undefined ? {} : { pool }), ...(pool6 === undefined ? {} : { pool6 }) };
}

/** How a network is offered. The subnet is always named: an engine rejects an unnamed one that this host routes to. */
export function offerOf(network: NetworkRecord): EngineNetworkSpec {
  const identity = { [NETWORK_OPTION]: network.name, [ID_OPTION]: network.id };
  return {
    name: network.name,
    driver: DRIVER,
    internal: network.internal,
    labels: network.labels,
    options: { ...network.options, [ID_OPTION]: network.id },
    ipamOptions: identity,
    subnets: network.subnets,
  };
}
