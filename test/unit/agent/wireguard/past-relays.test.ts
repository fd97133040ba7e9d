import { expect, it } from 'vitest';
import { PastRelays, type RelayedPeer } from '../../../../src/agent/wireguard/past-relays.ts';
import type { SeenWireguard, WireguardOp } from '../../../../src/core/wireguard/state.ts';
import { silent } from '../../../sim/simulated-cluster.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const RELAY = '192.0.2.1:51842';
const DIRECT = '203.0.113.2:51840';
const PEER: RelayedPeer = {
  device: 'ovlwg0',
  peer: { publicKey: 'k', allowedIps: ['198.18.0.2/32'], keepaliveSeconds: 25 },
  ...{ direct: DIRECT, relay: RELAY },
};

/** `heardFrom`: from where something comes, `atMs` after it was begun. */
function setUp({ heardFrom, atMs = 250, agrees = true }: { heardFrom?: string; atMs?: number; agrees?: boolean } = {}) {
  const clock = new VirtualClock();
  const begun = clock.elapsed();
  const done: string[] = [];
  let [endpoint, receivedBytes] = [RELAY, 100];
  const wireguard = {
    apply: async (ops: readonly WireguardOp[]) => {
      for (const op of ops) {
        if (op.kind !== 'set-peer' || op.peer.endpoint === undefined) continue;
        endpoint = op.peer.endpoint;
        const [at, last] = [clock.elapsed() - begun, done.at(-1)];
        if (last?.split(' ')[1] !== endpoint) done.push(`${at} ${endpoint}`);
      }
      return [];
    },
    observe: async () => {
      if (heardFrom !== undefined && clock.elapsed() - begun >= atMs)
        [endpoint, receivedBytes] = [heardFrom, receivedBytes + 32];
      const peer = { ...PEER.peer, endpoint, receivedBytes };
      return { devices: [{ name: 'ovlwg0', peers: [peer] }] } as unknown as SeenWireguard;
    },
  };
  const proposed: [string, number][] = [];
  const propose = async (nodeId: string, ms: number) => {
    proposed.push([nodeId, ms]);
    return agrees;
  };
  let ends = 0;
  const deps = { wireguard, propose, clock, logger: silent, onEnd: () => void ends++ };
  const past = new PastRelays({ ...deps, peerOf: () => PEER, isRelay: (text) => text === RELAY });
  return { past, clock, done, proposed, ends: () => ends };
}

it('sends past the relay with the other, and goes back when nothing is heard', async () => {
  const { past, clock, done, proposed, ends } = setUp();
  const run = past.begin('nb');
  expect(past.isUnderWay('nb')).toBe(true);
  await clock.until(run);
  expect(proposed).toEqual([['nb', 700]]);
  expect(done).toEqual([`0 ${DIRECT}`, `700 ${RELAY}`]);
  expect([past.isUnderWay('nb'), ends()]).toEqual([false, 1]);
  // A round trip was measured.
  await clock.until(past.begin('nb'));
  expect(proposed.at(-1)).toEqual(['nb', 300]);
});

it.each([DIRECT, '203.0.113.2:40000'])(
  'stays as soon as something is heard past the relay, from %s',
  async (heardFrom) => {
    const { past, clock, done } = setUp({ heardFrom });
    await clock.until(past.begin('nb'));
    expect(clock.elapsed()).toBeLessThan(700);
    expect(done).toEqual([`0 ${DIRECT}`]);
  },
);

it('takes what still comes by the relay for nothing', async () => {
  const { past, clock, done } = setUp({ heardFrom: RELAY });
  await clock.until(past.begin('nb'));
  expect(done.at(-1)).toMatch(RELAY);
});

it('sends nothing past it where the other does not, or does not answer', async () => {
  const { past, clock, done } = setUp({ agrees: false });
  await clock.until(past.begin('nb'));
  expect(done).toEqual([]);
});

it('does so when it is asked, once the answer has left, and no longer than it may take', async () => {
  const { past, clock, done } = setUp();
  expect(past.agree('nb', 60_000)).toBe(true);
  expect(past.agree('nb', 60_000)).toBe(false);
  await clock.advance(60_000);
  expect(done).toEqual([`50 ${DIRECT}`, `1550 ${RELAY}`]);
  expect(past.isUnderWay('nb')).toBe(false);
});
