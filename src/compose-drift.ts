/** What differs on this host and on all others: told to members and commands. */
import { ClusterDrift } from './agent/drift/cluster-drift.ts';
import { OwnDrift } from './agent/drift/own-drift.ts';
import type { Lifecycle } from './agent/lifecycle.ts';
import type { composeEvents } from './compose-events.ts';
import type { MembersHandler } from './ports/members.ts';
import type { Clock } from './ports/runtime.ts';

export interface DriftParts {
  /** Who the others are, and the way to them. */
  readonly events: Pick<ReturnType<typeof composeEvents>, 'others' | 'transport' | 'members'>;
  readonly lifecycle: () => Lifecycle;
  readonly clock: Clock;
}

export function composeDrift({ events, lifecycle, clock }: DriftParts) {
  const member = () => lifecycle().require().member;
  const own = new OwnDrift({ member, clock });
  const find = own.find.bind(own);
  const { others, transport } = events;
  const members: MembersHandler = { ...events.members, drift: find };
  const self = () => member().self;
  const networks = () => member().networks.list();
  return { members, cluster: new ClusterDrift({ own: find, self, others, networks, transport, clock }) };
}
