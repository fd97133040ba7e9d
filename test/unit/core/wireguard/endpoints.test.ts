/** Whose word on a peer's endpoint counts: the record's, or that of WireGuard, which follows a peer that moves. */
import { describe, expect, it } from 'vitest';
import { type Moment, PeerMemory } from '../../../../src/core/wireguard/peer-memory.ts';
import { planWireguard } from '../../../../src/core/wireguard/plan.ts';
import type { SeenDevice, SeenPeer, SeenWireguard } from '../../../../src/core/wireguard/state.ts';

const KEY = `${'A'.repeat(43)}=`;
const RECORD = '192.0.2.2:51840';
const ROAMED = '198.51.100.7:40000';
const at = (seconds: number): Moment => ({ elapsedMs: seconds * 1_000, nowMs: 1_000_000 + seconds * 1_000 });

function seen(parts: Partial<SeenPeer>): SeenWireguard & { readonly devices: readonly [SeenDevice] } {
  const peer: SeenPeer = {
    ...{ publicKey: KEY, endpoint: ROAMED, allowedIps: ['198.18.0.2/32'], keepaliveSeconds: 0 },
    ...{ lastHandshakeMs: at(0).nowMs, receivedBytes: 0, sentBytes: 0 },
    ...parts,
  };
  const device = { name: 'ovlwg0', backend: 'kernel', publicKey: 'own', port: 51_840, mtu: 1_440 } as const;
  return { devices: [{ ...device, up: true, address: '198.18.0.1', peers: [peer] }], sendBy: 'ovlwg0' };
}

/** The endpoints that a pass sets. */
function pass(memory: PeerMemory, parts: Partial<SeenPeer>, moment: Moment, wanted: string | undefined = RECORD) {
  const state = seen(parts);
  memory.note(state, moment);
  const peer = { publicKey: KEY, endpoint: wanted, allowedIps: ['198.18.0.2/32'], keepaliveSeconds: 0 };
  const device = { name: 'ovlwg0', publicKey: 'own', privateKey: 'p', port: 51_840, mtu: 1_440 } as const;
  const ops = planWireguard(
    { devices: [{ ...device, address: '198.18.0.1', peers: [peer] }], sendBy: 'ovlwg0' },
    state,
    {
      mayRemove: true,
      isEndpointDue: (of, found, endpoint) => memory.isEndpointDue(of, found, endpoint, moment),
    },
  );
  const set = ops.flatMap((op) => (op.kind === 'set-peer' && op.peer.endpoint !== undefined ? [op.peer.endpoint] : []));
  memory.accept(device, peer, wanted, set.length > 0);
  return set;
}

it.each([
  ['a view that is not whole', 1_400, false, [1_400]],
  ['a view that is not whole', 1_480, false, []],
  ['a whole view', 1_480, true, [1_480]],
])('by %s an MTU of 1440 becomes one of %i', (_, mtu, mayRemove, set) => {
  const state = seen({});
  const device = {
    name: 'ovlwg0',
    publicKey: 'own',
    privateKey: 'p',
    port: 51_840,
    mtu,
    address: '198.18.0.1',
  } as const;
  const wanted = { devices: [{ ...device, peers: state.devices[0].peers }], sendBy: 'ovlwg0' } as const;
  const ops = planWireguard(wanted, state, { mayRemove, isEndpointDue: () => false });
  expect(ops.map((op) => op.kind === 'set-device' && op.set.mtu)).toEqual(set);
});

describe('an endpoint that WireGuard found', () => {
  it('stands while there is a session, also for an agent that has just started, and while nothing is sent', () => {
    const memory = new PeerMemory();
    expect(pass(memory, {}, at(1))).toEqual([]);
    expect(pass(memory, { receivedBytes: 500, sentBytes: 500 }, at(20))).toEqual([]);
    expect(pass(memory, { receivedBytes: 500, sentBytes: 500 }, at(4_000))).toEqual([]);
  });

  it('gives way to the record when that changed, once', () => {
    const memory = new PeerMemory();
    expect(pass(memory, {}, at(1))).toEqual([]);
    expect(pass(memory, {}, at(2), '192.0.2.9:51840')).toEqual(['192.0.2.9:51840']);
    expect(pass(memory, {}, at(3), '192.0.2.9:51840')).toEqual([]);
  });

  it('gives way to the record when nothing comes back from there for 15 s', () => {
    const memory = new PeerMemory();
    expect(pass(memory, {}, at(1))).toEqual([]);
    expect(pass(memory, { sentBytes: 148 }, at(10))).toEqual([]);
    expect(pass(memory, { sentBytes: 296 }, at(20))).toEqual([]);
    expect(pass(memory, { sentBytes: 444 }, at(25))).toEqual([RECORD]);
  });

  it('of a session that is over is nothing to an agent that has just started', () => {
    expect(pass(new PeerMemory(), {}, at(300))).toEqual([RECORD]);
    expect(pass(new PeerMemory(), { lastHandshakeMs: undefined }, at(1))).toEqual([RECORD]);
  });

  it('is all there is of a peer whose record has none', () => {
    const memory = new PeerMemory();
    memory.note(seen({ sentBytes: 0 }), at(0));
    const state = seen({ sentBytes: 900 });
    memory.note(state, at(10));
    expect(memory.isEndpointDue(state.devices[0], state.devices[0].peers[0]!, undefined, at(60))).toBe(false);
    expect(memory.isSilent(state.devices[0], state.devices[0].peers[0]!, at(60))).toBe(true);
  });
});
