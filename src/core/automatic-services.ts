/**
 * Services that nobody asks for by name: on a network with `vip=true` each alias has one, from its first container on until
 * a while after its last. Who has the container makes it; who takes it away is one host, so that not all try. Pure.
 */
import type { ClusterView } from './cluster-view.ts';
import { namesOf } from './dns/names-protocol.ts';
import type { EndpointRecord, NetworkRecord } from './records.ts';
import type { ServiceRecord } from './service-records.ts';

/** What container engines put among the aliases by themselves. */
const CONTAINER_ID = /^[0-9a-f]{12}$/;

/** Aliases that are to have an address: what a container is called alone, by its name or id, needs none. */
export function servedAliases({ name, aliases }: Pick<EndpointRecord, 'name' | 'aliases'>): string[] {
  const lower = aliases.map((alias) => alias.toLowerCase());
  return [...new Set(lower)].filter((alias) => alias !== name.toLowerCase() && !CONTAINER_ID.test(alias));
}

type View = Pick<ClusterView, 'endpointsOn' | 'services' | 'staticNames'>;

/** Aliases of these endpoints that have no service yet. A static name is a person's word, and is left so. */
export function missingServices(
  view: View,
  { id }: Pick<NetworkRecord, 'id'>,
  own: Iterable<Pick<EndpointRecord, 'name' | 'aliases'>>,
): string[] {
  const taken = new Set([
    ...(view.services(id)?.services ?? []).map(({ name }) => name),
    ...(view.staticNames(id)?.sets ?? []).map(({ name }) => name),
  ]);
  const wanted = new Set([...own].flatMap(servedAliases));
  return [...wanted].filter((alias) => !taken.has(alias)).sort();
}

/** Those that nobody goes by any more. */
export function desertedServices(view: View, { id }: Pick<NetworkRecord, 'id'>): ServiceRecord[] {
  const automatic = (view.services(id)?.services ?? []).filter((service) => service.automatic);
  if (automatic.length === 0) return [];
  const names = new Set<string>();
  for (const endpoint of view.endpointsOn(id)) for (const name of namesOf(endpoint)) names.add(name);
  return automatic.filter(({ name }) => !names.has(name));
}

/** The host that takes away what nobody goes by: the first of those that are heard. */
export function isSweeper(view: Pick<ClusterView, 'nodes'>, selfId: string, answers: (nodeId: string) => boolean) {
  const heard = [...view.nodes()].filter(({ id, left }) => !left && (id === selfId || answers(id)));
  return heard.every(({ id }) => id >= selfId);
}

/** In words, what is not as the network's option says. */
export function unservedProblem(network: string, alias: string, why: string): string {
  return `alias ${alias} of network ${network} has no service address and is answered with its containers' own: ${why}`;
}
