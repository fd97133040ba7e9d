import { expect, test } from 'vitest';
import { HandshakeAges } from '../../../../src/core/wireguard/handshake-ages.ts';
import type { SeenDevice } from '../../../../src/core/wireguard/state.ts';

const DAY_MS = 86_400_000;
const peer = (lastHandshakeMs: number | undefined) =>
  ({ publicKey: 'p', allowedIps: [], keepaliveSeconds: 0, receivedBytes: 0, sentBytes: 0, lastHandshakeMs }) as never;
const device = (lastHandshakeMs: number | undefined) =>
  ({ name: 'ovlwg0', peers: [peer(lastHandshakeMs)] }) as unknown as SeenDevice;
const told = (ages: HandshakeAges, lastHandshakeMs: number | undefined, nowMs: number, elapsedMs: number) =>
  ages.byClock([device(lastHandshakeMs)], { nowMs, elapsedMs })[0]!.peers[0]!.lastHandshakeMs;

test.each([DAY_MS, -DAY_MS])('a clock that is set by %i ms takes the handshakes with it', (stepMs) => {
  const ages = new HandshakeAges();
  const at = 10 * DAY_MS;
  expect(told(ages, at, at + 5_000, 60_000)).toBe(at);
  expect(told(ages, at, at + 7_001 + stepMs, 62_000)).toBe(at + stepMs + 1);
  // The next one is told by the clock as it is.
  expect(told(ages, at + 90_000 + stepMs, at + 91_000 + stepMs, 146_000)).toBe(at + 90_000 + stepMs);
  expect(told(ages, at + 90_000 + stepMs, at + 92_000, 147_000)).toBe(at + 90_000);
});

test('one that is trimmed leaves them as they are told', () => {
  const ages = new HandshakeAges();
  expect(told(ages, undefined, 1_000, 0)).toBeUndefined();
  expect(told(ages, 5_000, 6_000, 5_000)).toBe(5_000);
  expect(told(ages, 5_000, 10_400, 9_000)).toBe(5_000);
});
