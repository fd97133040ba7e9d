/**
 * From what should be and what is to what has to be done. Pure, and stable: planning again after the plan was applied
 * gives nothing. What is right is adopted, whoever made it; what is wrong is changed in place where the kernel can.
 *
 * `provesAbsence: false` says that the view is not whole yet: then nothing is taken away, neither rows nor devices nor
 * members of the filter, because not knowing of something is no proof that it is gone. Except the ports of endpoints that
 * this host itself let go of.
 *
 * Scale: linear in rows; a network's plan does not look at other networks.
 */
import {
  type Desired,
  HOST,
  LOOPBACK,
  type NamespaceState,
  type Observed,
  type Obstacle,
  type Plan,
} from './host-state.ts';
import { planHost } from './plan/host.ts';
import { foreignLinks, foreignNamespace, isDead, isRemovable } from './plan/namespace.ts';
import { portLinkOf } from './plan/naming.ts';
import { planForgetting, planNetwork, planRemoval } from './plan/network.ts';
import { HOST_OWNER, Steps } from './plan/steps.ts';

export interface PlanOptions {
  /** The view has been whole: what is not in it does not exist. */
  readonly provesAbsence: boolean;
  /** Ids of endpoints of this host that were disconnected while the view was not whole. */
  readonly released?: Iterable<string>;
}

/**
 * The networks of `desired.networks` must be those that were observed: one that is neither in `observed.networks` nor in
 * `observed.unseen` does not exist. Host and containers may have been left out of the observation. What could not be seen
 * is left as it is.
 */
export function plan(desired: Desired, observed: Observed, options: PlanOptions): Plan {
  const { provesAbsence, released = [] } = options;
  const steps = new Steps();
  if (!provesAbsence) planReleased(released, observed, steps);
  const made = new Set<number>();
  const gone = [];
  const outcomes = new Map<string, NamespaceState>();
  const settled = new Map<string, NamespaceState>();
  const obstacles = obstaclesOf(desired, observed);
  const blocked = new Set(obstacles.flatMap(({ network, endpointId }) => (endpointId === undefined ? [network] : [])));
  for (const network of desired.networks) {
    if (blocked.has(network.namespace)) continue;
    const result = planNetwork(network, desired, observed, provesAbsence, steps);
    if (result.uplinkMade) made.add(network.vni);
    gone.push(...result.gone);
    if (result.outcome) outcomes.set(network.namespace, result.outcome);
    if (result.settled) settled.set(network.namespace, result.settled);
  }
  planHost(desired, observed.host, made, provesAbsence, steps);
  if (provesAbsence) planRemovals((name) => !desired.namespaces.has(name), observed, steps);
  return { stages: steps.stages(), gone, outcomes, settled, obstacles };
}

function obstaclesOf({ networks }: Desired, observed: Observed): Obstacle[] {
  const obstacles: Obstacle[] = [];
  const seeing = (place: string) => observed.unseen?.get(place);
  const ofHost = seeing(HOST);
  if (ofHost) obstacles.push({ network: undefined, endpointId: undefined, error: ofHost });
  for (const { namespace, ports } of networks) {
    const foreign = foreignLinks(namespace, observed);
    const error = seeing(namespace) ?? (foreign.length > 0 ? foreignNamespace(namespace, foreign) : undefined);
    if (error) obstacles.push({ network: namespace, endpointId: undefined, error });
    if (!observed.unseen?.size) continue;
    for (const { endpoint } of ports) {
      const inside = seeing(endpoint.container.identity);
      if (inside) obstacles.push({ network: namespace, endpointId: endpoint.record.id, error: inside });
    }
  }
  return obstacles;
}

function planRemovals(unwanted: (name: string) => boolean, observed: Observed, steps: Steps): void {
  for (const name of new Set([...(observed.namespaces?.keys() ?? []), ...observed.networks.keys()])) {
    if (!unwanted(name) || !isRemovable(name, observed)) continue;
    const dead = observed.namespaces?.get(name) === 'none' && isDead(name, observed);
    planRemoval(name, dead ? 'dead' : observed.networks.get(name), steps);
  }
}

/** Takes everything of ours away, for a host that leaves. IPv4 forwarding stays as it is: others may rely on it. */
export function planClear(observed: Observed): Plan {
  const steps = new Steps();
  planRemovals(() => true, observed, steps);
  for (const name of observed.host?.links.keys() ?? []) {
    steps.add('unlink', HOST_OWNER, 'remove', { kind: 'delete-link', at: HOST, name });
  }
  for (const address of observed.host?.addresses ?? []) {
    if (address.link !== LOOPBACK) continue;
    steps.add('unlink', HOST_OWNER, 'remove', { kind: 'delete-address', at: HOST, address });
  }
  if (observed.host?.filter) {
    steps.add('discard', HOST_OWNER, 'remove', { kind: 'delete-filter', at: HOST, family: 'inet' });
  }
  return { stages: steps.stages(), gone: [] };
}

function planReleased(released: Iterable<string>, observed: Observed, steps: Steps): void {
  for (const endpointId of released) {
    const name = portLinkOf(endpointId);
    for (const [at, seen] of observed.networks) {
      if (seen.links.get(name)?.kind !== 'veth') continue;
      steps.add('unlink', { network: at, endpointId }, 'remove', { kind: 'delete-link', at, name });
      planForgetting(name, seen, { network: at, endpointId }, steps);
    }
  }
}
