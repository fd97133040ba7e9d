/** Looks at the way between the host and the tunnels, and carries out what makes it right, in the kernel's thread. */
import type { SeenControlWay, SeenSide } from '../../core/wireguard/control-way.ts';
import { WIREGUARD_PLACE } from '../../core/wireguard/state.ts';
import type { ControlWays } from '../../ports/wireguard.ts';
import type { InsidePart } from './jobs.ts';
import type { KernelThread } from './kernel-thread.ts';
import { placeOf } from './means.ts';
import { failure } from './plain-error.ts';

export function createControlWays(thread: Pick<KernelThread, 'ask'>): ControlWays {
  return {
    async observe(signal): Promise<SeenControlWay | undefined> {
      const seen = await thread.ask('beside', WIREGUARD_PLACE, signal);
      if (!seen) return undefined;
      const { forwarding, filter } = seen.inside;
      return { host: sideOf(seen.host), inside: { ...sideOf(seen.inside), forwarding, filter } };
    },
    async apply(ops, signal) {
      // Each by itself: the table stands before there is a link, and nothing follows what has failed.
      const stages = ops.map((op) => ({ essential: true, works: [{ place: placeOf(op), ops: [op] }] }));
      const outcomes = await thread.ask('carryOut', stages, signal);
      const at = outcomes.findIndex((refusals) => refusals.length > 0);
      if (at < 0) return;
      throw failure(`the way to members behind NAT: ${ops[at]!.kind} failed`, outcomes[at]![0]!.error);
    },
  };
}

function sideOf({ links, addresses, routes }: InsidePart): SeenSide {
  return { links: new Map(links.map((link) => [link.name, link])), addresses, routes };
}
