/** Simulated hosts on networks of their own; their resolvers can be told nothing. */
import { type ExposeRequest, Exposing } from '../../src/agent/expose/exposing.ts';
import type { Member } from '../../src/agent/member.ts';
import { HOST_AS_OWNER } from '../../src/core/expose.ts';
import type { EndpointRecord } from '../../src/core/records.ts';
import { type SimulatedHost, silent } from './simulated-cluster.ts';

/** An agent has one, as long as it runs. */
const running = new WeakMap<Member, Exposing>();

export function exposingOf(host: SimulatedHost): Exposing {
  const member = host.running;
  const known = running.get(member);
  if (known) return known;
  const exposing = new Exposing({
    // Not whichever runs by then, if any does: an agent that ends while it is asked goes on with what it has, as its process does.
    member: () => member,
    facts: host.facts,
    names: { tell: async () => 'absent', forget: async () => undefined },
    logger: silent,
  });
  running.set(member, exposing);
  return exposing;
}

export function expose(host: SimulatedHost, network: string, asked: Partial<ExposeRequest> = {}) {
  return exposingOf(host).expose({ network, aliases: [], ...asked });
}

/** A host's own, and no container's. */
export function isOfHost({ tool }: EndpointRecord): boolean {
  return tool === HOST_AS_OWNER.tool;
}
