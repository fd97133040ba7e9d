/** What differs on this host and on all others, and what each sees now: told to members and commands. */
import { askResponder } from './adapters/dns/own-question.ts';
import { sendPacket } from './adapters/system/own-packet.ts';
import { stillnessOf } from './adapters/system/stillness.ts';
import { systemRandom } from './adapters/system/time.ts';
import { ClusterDrift } from './agent/drift/cluster-drift.ts';
import { OwnDrift } from './agent/drift/own-drift.ts';
import type { Lifecycle } from './agent/lifecycle.ts';
import { ClusterLooks } from './agent/look/cluster-looks.ts';
import { lookHere } from './agent/look/look-here.ts';
import type { composeEvents } from './compose-events.ts';
import type { Look } from './core/look.ts';
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
  const look = (asked: Look) =>
    lookHere({ ...lifecycle().require(), askResponder, sendPacket, stillnessOf, clock, random: systemRandom }, asked);
  const members: MembersHandler = { ...events.members, drift: find, look };
  const self = () => member().self;
  const networks = () => member().networks.list();
  const looks = new ClusterLooks({ own: look, self, others, transport, clock });
  return { members, looks, cluster: new ClusterDrift({ own: find, self, others, networks, transport, clock }) };
}
