/** Simulated hosts on networks of their own; their resolvers can be told nothing. */
import { type ExposeRequest, Exposing } from '../../src/agent/expose/exposing.ts';
import { HOST_AS_OWNER } from '../../src/core/expose.ts';
import type { EndpointRecord } from '../../src/core/records.ts';
import { type SimulatedHost, silent } from './simulated-cluster.ts';

export function exposingOf(host: SimulatedHost): Exposing {
  return new Exposing({
    member: () => host.running,
    facts: host.facts,
    names: { tell: async () => 'absent', forget: async () => undefined },
    logger: silent,
  });
}

export function expose(host: SimulatedHost, network: string, asked: Partial<ExposeRequest> = {}) {
  return exposingOf(host).expose({ network, aliases: [], ...asked });
}

/** A host's own, and no container's. */
export function isOfHost({ tool }: EndpointRecord): boolean {
  return tool === HOST_AS_OWNER.tool;
}
