import { expect, it } from 'vitest';
import type { Member } from '../../../../src/agent/member.ts';
import { Status } from '../../../../src/gen/overlayd/v1/control.ts';
import { peerMessage, tunnelsOf } from '../../../../src/integrations/control/messages.ts';
import { nodeRecord } from '../../../fixtures/records.ts';

it('a peer heard of a fraction of a millisecond ago can be told', () => {
  const member = { liveness: () => 'ready', heardAgoMs: () => 1_234.567 } as unknown as Member;
  const peer = peerMessage(member, nodeRecord({ advertiseAddress: '2001:db8::1' }), undefined);
  expect(peer.address).toBe('[2001:db8::1]:7946');
  expect(Status.decode(Status.encode(Status.fromPartial({ peers: [peer] })).finish()).peers[0]!.heardMsAgo).toBe(1_235);
});

it('tunnels are told by the names of their ends, those of which nothing is known as nothing', () => {
  const common = { backend: 'kernel', device: 'ovlwg0', mtu: 1_440, receivedBytes: 0, sentBytes: 0 } as const;
  const peers = () => [
    {
      ...common,
      nodeId: 'h3',
      endpoint: undefined,
      lastHandshakeMs: undefined,
      problem: 'no handshake',
      relayedBy: undefined,
    },
    {
      ...common,
      nodeId: 'h2',
      endpoint: '192.0.2.2:51840',
      lastHandshakeMs: 1_234.5,
      problem: undefined,
      relayedBy: 'h4',
    },
  ];
  const view = { node: (id: string) => nodeRecord({ id, name: id.toUpperCase() }) };
  const tunnels = tunnelsOf({ view, wireguard: { peers } } as unknown as Member);
  expect([...tunnels.keys()]).toEqual(['h2', 'h3']);
  const told = Status.encode(
    Status.fromPartial({ peers: [{ tunnel: tunnels.get('h2')! }, { tunnel: tunnels.get('h3')! }] }),
  );
  expect(Status.decode(told.finish()).peers.map(({ tunnel }) => tunnel)).toEqual([
    {
      ...common,
      nodeId: 'h2',
      nodeName: 'H2',
      endpoint: '192.0.2.2:51840',
      lastHandshakeMs: 1_235,
      relayedBy: 'h4',
      problem: '',
    },
    {
      ...common,
      nodeId: 'h3',
      nodeName: 'H3',
      endpoint: '',
      lastHandshakeMs: 0,
      relayedBy: '',
      problem: 'no handshake',
    },
  ]);
});
