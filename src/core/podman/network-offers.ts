/**
 * Which files of Podman have to be written and which to go, so that every network of the cluster is a network of Podman under its
 * own name, and nothing else of ours is. Pure: Podman's networks, the cluster's, and what a person removed meanwhile.
 */
import { DRIVER } from '../engine/engine.ts';
import { isNetworkName } from '../names.ts';
import type { NetworkRecord } from '../records.ts';
import { clusterIdOf, offeredNetwork, originOf, type PodmanNetwork, refreshedNetwork } from './network-file.ts';

/** What `podman run --network` takes for something else, and the network that containers get without it. */
const RESERVED = ['podman', 'pasta', 'slirp4netns', 'private', 'ns', 'none', 'host', 'bridge', 'container', 'default'];

export interface PodmanOffersInput {
  /** Of the cluster, without those being removed. */
  readonly networks: readonly NetworkRecord[];
  /** The list is whole: what is not in it does not exist. */
  readonly provesAbsence: boolean;
  readonly found: readonly PodmanNetwork[];
  /** As they were found before, in this run of the agent. */
  readonly before: readonly PodmanNetwork[];
  /** Names that a person is creating by Podman at this moment. */
  readonly beingCreated: ReadonlySet<string>;
}

export interface PodmanOffers {
  /** Not there; nothing is written over. */
  readonly add: readonly PodmanNetwork[];
  /** There, and not what it should be. */
  readonly change: readonly PodmanNetwork[];
  readonly remove: readonly PodmanNetwork[];
  /** The cluster's networks that a person made by Podman on this host, and has removed there. */
  readonly unwanted: readonly NetworkRecord[];
  /** What people should know, one line each. */
  readonly problems: readonly string[];
}

export function planPodmanOffers(input: PodmanOffersInput): PodmanOffers {
  const { networks, provesAbsence, found, before, beingCreated } = input;
  const byId = new Map(networks.map((network) => [network.id, network]));
  const change: PodmanNetwork[] = [];
  const remove: PodmanNetwork[] = [];
  const held = new Map<string, PodmanNetwork>();
  for (const each of found) {
    const id = clusterIdOf(each);
    const network = id === undefined ? undefined : byId.get(id);
    if (id !== undefined && !network) {
      if (provesAbsence) remove.push(each);
      else held.set(each.name, each);
      continue;
    }
    held.set(each.name, each);
    if (!network) continue;
    const wanted = originOf(each) === 'offered' ? offeredNetwork(network) : refreshedNetwork(each, network);
    if (!isSame(wanted, each)) change.push(wanted);
  }
  const stillThere = new Set(found.map(({ id }) => id));
  const unwanted = before.flatMap((each) => {
    const network = byId.get(clusterIdOf(each) ?? '');
    const again = held.get(each.name);
    // Removed and made again is no word against the cluster's.
    const isAgain = beingCreated.has(each.name) || (again !== undefined && clusterIdOf(again) === network?.id);
    return network && originOf(each) === 'created' && !stillThere.has(each.id) && !isAgain ? [network] : [];
  });
  const going = new Set(unwanted.map(({ id }) => id));
  const missing = networks.filter(
    ({ id, name }) => !held.has(name) && !beingCreated.has(name) && !going.has(id) && isOffered(name),
  );
  return {
    add: missing.map(offeredNetwork),
    change,
    remove,
    unwanted,
    problems: networks.flatMap((network) => describeProblem(network, held.get(network.name)) ?? []),
  };
}

/** It becomes the name of a file. What a record says of it nobody has checked but the host that wrote it. */
function isOffered(name: string): boolean {
  return isNetworkName(name) && !RESERVED.includes(name);
}

function describeProblem({ id, name }: NetworkRecord, by: PodmanNetwork | undefined): string | undefined {
  if (!isNetworkName(name)) {
    return `network ${id.slice(0, 12)} is not offered to Podman: ${JSON.stringify(name.slice(0, 63))} is no name of a network; remove it (overlayd network rm ${id.slice(0, 12)})`;
  }
  if (RESERVED.includes(name)) {
    return `network ${name} is not offered to Podman, for which that name means something else: bind it under another one (podman network create -d ${DRIVER} -o net=${name} OTHER)`;
  }
  if (by === undefined || clusterIdOf(by) === id) return undefined;
  const what = by.driver === DRIVER ? 'that stands for another one of overlayd' : `(driver ${by.driver})`;
  return `Podman has another network named ${name} ${what}: containers cannot join overlayd's by that name; remove that one (podman network rm ${name}), or bind overlayd's under another name (podman network create -d ${DRIVER} -o net=${name} OTHER)`;
}

/** Whatever the order of their fields is. */
function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => [key, sorted(each)]));
}
