import { expect, it } from 'vitest';
import type { Member } from '../../../../src/agent/member.ts';
import { Status } from '../../../../src/gen/overlayd/v1/control.ts';
import { peerMessage } from '../../../../src/integrations/control/messages.ts';
import { nodeRecord } from '../../../fixtures/records.ts';

it('a peer heard of a fraction of a millisecond ago can be told', () => {
  const member = { liveness: () => 'ready', heardAgoMs: () => 1_234.567 } as unknown as Member;
  const peer = peerMessage(member, nodeRecord({ advertiseAddress: '2001:db8::1' }));
  expect(peer.address).toBe('[2001:db8::1]:7946');
  expect(Status.decode(Status.encode(Status.fromPartial({ peers: [peer] })).finish()).peers[0]!.heardMsAgo).toBe(1_235);
});
