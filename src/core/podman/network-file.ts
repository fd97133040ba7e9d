/**
 * Networks as Podman keeps them: a file of JSON for each, `NAME.json` in a folder that every command of Podman reads anew, and
 * the same on a netavark plugin's standard input. Fields that are not known here are kept. Source: containers/common,
 * libnetwork/types/network.go; netavark, plugin-API.md.
 */
import { parseCidr } from '../cidr.ts';
import { DRIVER, ID_OPTION } from '../engine/engine.ts';
import type { NetworkRecord } from '../records.ts';

/** The label that says who made the network: see {@link Origin}. */
export const ORIGIN_LABEL = 'overlayd.origin';

/**
 * `offered`: made by the agent; `created`: made by a person, and the cluster's network with it; `bound`: made by a person for a
 * network that was there.
 */
export type Origin = 'offered' | 'created' | 'bound';

export interface PodmanNetwork {
  readonly name: string;
  /** 64 hex characters. */
  readonly id: string;
  /** Name of the plugin, or `bridge` and the like. */
  readonly driver: string;
  readonly subnets?: readonly PodmanSubnet[] | null | undefined;
  readonly ipv6_enabled?: boolean | undefined;
  readonly internal?: boolean | undefined;
  readonly dns_enabled?: boolean | undefined;
  readonly network_interface?: string | null | undefined;
  readonly routes?: readonly unknown[] | null | undefined;
  readonly network_dns_servers?: readonly string[] | null | undefined;
  readonly labels?: Readonly<Record<string, string>> | null | undefined;
  readonly options?: Readonly<Record<string, string>> | null | undefined;
  readonly ipam_options?: Readonly<Record<string, string>> | null | undefined;
}

export interface PodmanSubnet {
  /** CIDR. */
  readonly subnet: string;
  readonly gateway?: string | null | undefined;
  readonly lease_range?: { readonly start_ip?: string | null; readonly end_ip?: string | null } | null | undefined;
}

/** The cluster's network that it stands for, by id; undefined when it does not say. */
export function clusterIdOf({ driver, options }: PodmanNetwork): string | undefined {
  return driver === DRIVER ? options?.[ID_OPTION] : undefined;
}

export function originOf({ labels }: PodmanNetwork): Origin {
  const said = labels?.[ORIGIN_LABEL];
  return said === 'offered' || said === 'created' ? said : 'bound';
}

/** As the agent offers it. Podman's id of it is the cluster's, so what one host writes is what every other one does. */
export function offeredNetwork(network: NetworkRecord): PodmanNetwork & { readonly created: string } {
  return {
    name: network.name,
    id: network.id,
    driver: DRIVER,
    created: new Date(network.createdAt).toISOString(),
    ...described(network),
    labels: { ...network.labels, [ORIGIN_LABEL]: 'offered' },
    options: { ...network.options, [ID_OPTION]: network.id },
  };
}

/** What a person asked Podman to make, as it becomes. `name`, `id` and `driver` are Podman's. */
export function boundNetwork(asked: PodmanNetwork, network: NetworkRecord, origin: Origin): PodmanNetwork {
  return {
    ...asked,
    ...described(network),
    labels: { ...network.labels, ...asked.labels, [ORIGIN_LABEL]: origin },
    options: { ...asked.options, [ID_OPTION]: network.id },
  };
}

/** With what the cluster says by now: a network may have got another subnet. */
export function refreshedNetwork(known: PodmanNetwork, network: NetworkRecord): PodmanNetwork {
  return { ...known, ...described(network) };
}

/** Addresses are the cluster's: with another `ipam_options` Podman would choose them by itself, on each host the same ones. */
function described(network: NetworkRecord) {
  return {
    subnets: network.subnets.map(({ cidr, gateway }): PodmanSubnet => ({ subnet: cidr, gateway })),
    ipv6_enabled: network.subnets.some(({ cidr }) => parseCidr(cidr)?.ip.family === 6),
    internal: network.internal,
    // Podman's own name server has no names of these; the plugin answers with ours.
    dns_enabled: false,
    ipam_options: { driver: 'none' },
  };
}

/** Throws with what is wrong. */
export function parsePodmanNetwork(value: unknown): PodmanNetwork {
  if (!isObject(value)) throw new Error('it is no object');
  for (const key of ['name', 'id', 'driver']) {
    if (typeof value[key] !== 'string' || value[key] === '') throw new Error(`${key} is missing`);
  }
  for (const key of ['labels', 'options', 'ipam_options']) {
    const map = value[key] ?? {};
    if (!isObject(map) || !Object.values(map).every((each) => typeof each === 'string')) {
      throw new Error(`${key} is no list of texts by name`);
    }
  }
  const subnets = value.subnets ?? [];
  if (!Array.isArray(subnets) || !subnets.every((each) => isObject(each) && typeof each.subnet === 'string')) {
    throw new Error('subnets is no list of subnets');
  }
  for (const key of ['routes', 'network_dns_servers']) {
    if (!Array.isArray(value[key] ?? [])) throw new Error(`${key} is no list`);
  }
  return value as unknown as PodmanNetwork;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
