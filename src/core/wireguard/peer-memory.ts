/**
 * What is remembered of peers between two looks: whether they answer, and which endpoint of their record they were given.
 * WireGuard follows a peer that moves by itself, so an endpoint that differs from the record's is let be as long as the
 * peer is heard. Pure; times by the monotonic clock unless said otherwise.
 */
import type { SeenDevice, SeenPeer, SeenWireguard } from './state.ts';

/** Whoever gets something and has nothing to say answers within 10 s, and is asked again 5 s later (WireGuard, 6.5). */
export const SILENT_MS = 15_000;
/** A session is not used for longer (REJECT_AFTER_TIME, WireGuard, 6.1). */
export const SESSION_MS = 180_000;
/** What keepalives take (32), with room: more between two looks is somebody's traffic, or a handshake before it. */
const TRAFFIC_BYTES = 100;

interface Trace {
  readonly announced: string | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** When more than keepalives was received last. */
  readonly trafficAt: number;
  /** Since when more than keepalives is sent to it without an answer, as nobody answers those; undefined: nothing is. */
  readonly unansweredSince: number | undefined;
}

const BLANK = { receivedBytes: 0, sentBytes: 0, trafficAt: 0, unansweredSince: undefined } as const;

export interface Moment {
  readonly elapsedMs: number;
  /** By the wall clock, as handshakes are. */
  readonly nowMs: number;
}

export class PeerMemory {
  #traces = new Map<string, Trace>();

  /** What was seen now. */
  note({ devices }: SeenWireguard, moment: Moment): void {
    const traces = new Map<string, Trace>();
    for (const device of devices) {
      for (const peer of device.peers) {
        const key = keyOf(device, peer);
        traces.set(key, traceOf(this.#traces.get(key), peer, moment));
      }
    }
    this.#traces = traces;
  }

  /**
   * The record's endpoint was given to the peer (`isSet`), which has to be tried before it is called silent; or what is seen is
   * taken for as good.
   */
  accept(device: Named, peer: Keyed, endpoint: string | undefined, isSet: boolean): void {
    const trace = this.#traces.get(keyOf(device, peer)) ?? BLANK;
    const unansweredSince = isSet ? undefined : trace.unansweredSince;
    this.#traces.set(keyOf(device, peer), { ...trace, announced: endpoint, unansweredSince });
  }

  /** Whether the record's endpoint is to be set, over the one that is seen. */
  isEndpointDue(device: Named, peer: SeenPeer, wanted: string | undefined, moment: Moment): boolean {
    if (wanted === undefined || wanted === peer.endpoint) return false;
    if (peer.endpoint === undefined) return true;
    const announced = this.#traces.get(keyOf(device, peer))?.announced;
    if (this.isSilent(device, peer, moment)) return true;
    return announced === undefined ? !hasSession(peer, moment) : announced !== wanted;
  }

  /** Whether is sent to it, for long enough, and nothing comes back. */
  isSilent(device: Named, peer: Keyed, { elapsedMs }: Moment): boolean {
    const since = this.#traces.get(keyOf(device, peer))?.unansweredSince;
    return since !== undefined && elapsedMs - since >= SILENT_MS;
  }

  /** Public keys of the peers of which more than keepalives came within that time. */
  talkers(device: SeenDevice, withinMs: number, { elapsedMs }: Moment): readonly string[] {
    const isTalking = (peer: SeenPeer) =>
      elapsedMs - (this.#traces.get(keyOf(device, peer))?.trafficAt ?? Number.NEGATIVE_INFINITY) < withinMs;
    return device.peers.filter(isTalking).map(({ publicKey }) => publicKey);
  }

  /** For how long nothing but keepalives has come to the device; undefined: it was not seen. */
  quietMs(device: SeenDevice, { elapsedMs }: Moment): number | undefined {
    const traces = device.peers.map((peer) => this.#traces.get(keyOf(device, peer)));
    if (traces.some((trace) => trace === undefined)) return undefined;
    return elapsedMs - Math.max(...traces.map((trace) => trace!.trafficAt), 0);
  }
}

type Named = Pick<SeenDevice, 'name'>;
type Keyed = Pick<SeenPeer, 'publicKey'>;

/** Whether keys were exchanged with it, so that packets pass. */
export function hasSession({ lastHandshakeMs }: Pick<SeenPeer, 'lastHandshakeMs'>, { nowMs }: Moment): boolean {
  return lastHandshakeMs !== undefined && Math.abs(nowMs - lastHandshakeMs) < SESSION_MS;
}

/** What comes without a session is the peer's own calling, which says nothing of the way to it. */
function traceOf(before: Trace | undefined, peer: SeenPeer, moment: Moment): Trace {
  const { receivedBytes, sentBytes } = peer;
  const at = moment.elapsedMs;
  // A device that was made anew counts from nothing.
  if (!before || receivedBytes < before.receivedBytes || sentBytes < before.sentBytes) {
    const announced = before?.announced;
    return { announced, receivedBytes, sentBytes, trafficAt: at, unansweredSince: undefined };
  }
  const received = receivedBytes - before.receivedBytes;
  const isSent = sentBytes - before.sentBytes > TRAFFIC_BYTES;
  const isHeard = received > 0 && hasSession(peer, moment);
  return {
    announced: before.announced,
    receivedBytes,
    sentBytes,
    trafficAt: received > TRAFFIC_BYTES ? at : before.trafficAt,
    unansweredSince: isHeard ? undefined : (before.unansweredSince ?? (isSent ? at : undefined)),
  };
}

function keyOf({ name }: Named, { publicKey }: Keyed): string {
  return `${name} ${publicKey}`;
}
