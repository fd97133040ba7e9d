/**
 * WireGuard tells when a handshake was by the wall clock of that moment. When the clock is set, a session does not get older or
 * younger by it: here the time of each handshake is moved with the clock. Pure.
 */
import type { Moment } from './peer-memory.ts';
import type { SeenDevice } from './state.ts';

/** Both clocks are read one after the other, and the wall clock is trimmed all the time. */
const TRIMMED_MS = 1_000;

interface Told {
  readonly lastHandshakeMs: number;
  /** Of the wall clock before the monotonic one, when it was told first. */
  readonly aheadMs: number;
}

export class HandshakeAges {
  #told = new Map<string, Told>();

  /** The devices, with handshakes by the clock as it is now. */
  byClock(devices: readonly SeenDevice[], { elapsedMs, nowMs }: Moment): readonly SeenDevice[] {
    const aheadMs = nowMs - elapsedMs;
    const told = new Map<string, Told>();
    const moved = devices.map((device) => ({
      ...device,
      peers: device.peers.map((peer) => {
        const { lastHandshakeMs, publicKey } = peer;
        if (lastHandshakeMs === undefined) return peer;
        const key = `${device.name} ${publicKey}`;
        const before = this.#told.get(key);
        const of = before?.lastHandshakeMs === lastHandshakeMs ? before : { lastHandshakeMs, aheadMs };
        told.set(key, of);
        const setMs = aheadMs - of.aheadMs;
        return Math.abs(setMs) < TRIMMED_MS ? peer : { ...peer, lastHandshakeMs: lastHandshakeMs + setMs };
      }),
    }));
    this.#told = told;
    return moved;
  }
}
