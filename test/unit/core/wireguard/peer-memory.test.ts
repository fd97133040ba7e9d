import { describe, expect, it } from 'vitest';
import { PeerMemory } from '../../../../src/core/wireguard/peer-memory.ts';
import type { SeenDevice, SeenPeer } from '../../../../src/core/wireguard/state.ts';

const PEER: SeenPeer = {
  publicKey: `${'A'.repeat(43)}=`,
  endpoint: '192.0.2.2:51840',
  allowedIps: ['198.18.0.2/32'],
  keepaliveSeconds: 0,
  lastHandshakeMs: undefined,
  receivedBytes: 0,
  sentBytes: 0,
};

const deviceOf = (peer: Partial<SeenPeer>): SeenDevice => ({
  name: 'ovlwg0',
  port: 51_840,
  mtu: 1_440,
  backend: 'wireguard-go',
  publicKey: `${'B'.repeat(43)}=`,
  up: true,
  address: '198.18.0.1',
  peers: [{ ...PEER, ...peer }],
});

/** Looks, some seconds from one to the next; whether the peer is silent at the last one. */
function isSilentAfter(looks: readonly Partial<SeenPeer>[]): boolean {
  const memory = new PeerMemory();
  let moment = { elapsedMs: 0, nowMs: 1_000_000 };
  for (const look of looks) {
    moment = { elapsedMs: moment.elapsedMs + 10_000, nowMs: moment.nowMs + 10_000 };
    memory.note({ devices: [deviceOf(look)], sendBy: 'ovlwg0' }, moment);
  }
  return memory.isSilent({ name: 'ovlwg0' }, PEER, moment);
}

/** Of handshakes that are begun, each 148 bytes (WireGuard, 5.4.2). */
const begun = (nth: number) => ({ sentBytes: 148 * nth });

describe('a peer is silent', () => {
  it('that is called and says nothing', () => {
    expect(isSilentAfter([begun(1), begun(2), begun(3), begun(4)])).toBe(true);
  });

  it('that calls itself, but never hears an answer, because the way to it is closed', () => {
    const looks = [1, 2, 3, 4].map((nth) => ({ ...begun(nth), receivedBytes: 148 * nth }));
    expect(isSilentAfter(looks)).toBe(true);
  });

  it('whose session is over, though it calls', () => {
    const looks = [1, 2, 3, 4].map((nth) => ({
      ...{ ...begun(nth), receivedBytes: 148 * nth },
      lastHandshakeMs: 1_000_000 - 200_000,
    }));
    expect(isSilentAfter(looks)).toBe(true);
  });
});

describe('a peer is not silent', () => {
  it('that nothing is sent to', () => {
    expect(isSilentAfter([{}, {}, {}, {}])).toBe(false);
  });

  it('that a keepalive was sent to last, which nobody answers', () => {
    const session = { lastHandshakeMs: 1_000_000, receivedBytes: 5_000 };
    const looks = [5_000, 5_032, 5_032, 5_032].map((sentBytes) => ({ ...session, sentBytes }));
    expect(isSilentAfter(looks)).toBe(false);
  });

  it('whose packets come in a session', () => {
    const looks = [1, 2, 3, 4].map((nth) => ({
      ...{ ...begun(nth), receivedBytes: 32 * nth },
      lastHandshakeMs: 1_000_000,
    }));
    expect(isSilentAfter(looks)).toBe(false);
  });
});
