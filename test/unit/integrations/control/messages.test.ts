import { expect, it } from 'vitest';
import type { Member } from '../../../../src/agent/member.ts';
import type { NodeRecord } from '../../../../src/core/records.ts';
import { Status } from '../../../../src/gen/overlayd/v1/control.ts';
import { peerMessage } from '../../../../src/integrations/control/messages.ts';

it('a peer heard of a fraction of a millisecond ago can be told', () => {
  const member = { liveness: () => 'ready', heardAgoMs: () => 1_234.567 } as unknown as Member;
  const peer = peerMessage(member, { id: 'n1', name: 'h1' } as NodeRecord);
  expect(Status.decode(Status.encode(Status.fromPartial({ peers: [peer] })).finish()).peers[0]!.heardMsAgo).toBe(1_235);
});
