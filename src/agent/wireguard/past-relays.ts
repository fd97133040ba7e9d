/**
 * Past the relays (`core/wireguard/nat-ways.ts`): of two members behind NAT that are relayed one asks the other, through the relay,
 * to send past it now, and so do both for a moment. That opens both NATs where they can be opened; who hears the other stays. What
 * is said to the peer meanwhile is lost where it does not get through, so the moment is short.
 */
import { KEEPALIVE_SECONDS } from '../../core/wireguard/desired.ts';
import type { SeenPeer, WireguardDeviceName, WireguardOp } from '../../core/wireguard/state.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Wireguard } from '../../ports/wireguard.ts';

/** A peer that is relayed. Endpoints are `host:port`. */
export interface RelayedPeer {
  readonly device: WireguardDeviceName;
  readonly peer: Pick<SeenPeer, 'publicKey' | 'allowedIps' | 'keepaliveSeconds'>;
  /** Where it is seen. */
  readonly direct: string;
  readonly relay: string;
}

export interface PastRelaysDeps {
  readonly wireguard: Pick<Wireguard, 'apply' | 'observe'>;
  /** Asks the member to send past the relay for so many milliseconds; whether it does. */
  readonly propose: (nodeId: string, ms: number) => Promise<boolean>;
  /** Undefined: it is not relayed. */
  readonly peerOf: (nodeId: string) => RelayedPeer | undefined;
  readonly isRelay: (endpoint: string | undefined) => boolean;
  /** Something may have been found. */
  readonly onEnd: () => void;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly logger: Logger;
}

/** Both are on their way, and one of their packets is: besides two round trips between the agents. */
const LEAST_MS = 300;
export const MOST_MS = 1_500;
/** Of a round trip, before one was measured. */
const USUAL_MS = 200;
/** The answer to who asks leaves by the relay. */
const ANSWER_MS = 50;
const KNOCK_MS = 100;

export class PastRelays {
  readonly #deps: PastRelaysDeps;
  readonly #underWay = new Set<string>();
  readonly #roundTrips = new Map<string, number>();

  constructor(deps: PastRelaysDeps) {
    this.#deps = deps;
  }

  isUnderWay(nodeId: string): boolean {
    return this.#underWay.has(nodeId);
  }

  /** Does not throw; resolves when it is over. */
  async begin(nodeId: string): Promise<void> {
    const { clock, propose } = this.#deps;
    await this.#once(nodeId, async () => {
      const ms = Math.round(Math.min(LEAST_MS + 2 * (this.#roundTrips.get(nodeId) ?? USUAL_MS), MOST_MS));
      const askedAt = clock.elapsed();
      if (!(await propose(nodeId, ms))) return;
      this.#roundTrips.set(nodeId, clock.elapsed() - askedAt);
      await this.#send(nodeId, ms);
    });
  }

  /** A member asks this one; whether it does. */
  agree(nodeId: string, ms: number): boolean {
    const { clock, peerOf } = this.#deps;
    if (this.#underWay.has(nodeId) || !peerOf(nodeId)) return false;
    void this.#once(nodeId, async () => {
      await clock.sleep(ANSWER_MS);
      await this.#send(nodeId, Math.min(ms, MOST_MS));
    });
    return true;
  }

  async #once(nodeId: string, task: () => Promise<void>): Promise<void> {
    if (this.#underWay.has(nodeId)) return;
    this.#underWay.add(nodeId);
    try {
      await task();
    } catch (error) {
      this.#deps.logger.debug({ peer: nodeId, error }, 'sending past the relay failed');
    } finally {
      this.#underWay.delete(nodeId);
      this.#deps.onEnd();
    }
  }

  async #send(nodeId: string, ms: number): Promise<void> {
    const { clock, peerOf, wireguard } = this.#deps;
    const target = peerOf(nodeId);
    if (!target) return;
    const { direct, relay } = target;
    const end = clock.elapsed() + ms;
    let isThrough = false;
    try {
      while (!isThrough && clock.elapsed() < end) {
        // From none to some, a keepalive is sent at once.
        await wireguard.apply([
          setting(target, { endpoint: direct, keepaliveSeconds: 0 }),
          setting(target, { keepaliveSeconds: KEEPALIVE_SECONDS }),
        ]);
        const before = await this.#look(target);
        await clock.sleep(KNOCK_MS);
        const after = await this.#look(target);
        isThrough = before !== undefined && after !== undefined && this.#isHeardPast(before, after);
      }
    } finally {
      const back = peerOf(nodeId)?.relay ?? relay;
      if (!isThrough) await wireguard.apply([setting(target, { endpoint: back })]);
    }
  }

  async #look({ device, peer: { publicKey } }: RelayedPeer): Promise<SeenPeer | undefined> {
    const { devices } = await this.#deps.wireguard.observe();
    return devices.find(({ name }) => name === device)?.peers.find((peer) => peer.publicKey === publicKey);
  }

  /** WireGuard follows what comes: by the relay, or past it. */
  #isHeardPast(before: SeenPeer, { endpoint, receivedBytes }: SeenPeer): boolean {
    return receivedBytes > before.receivedBytes && !this.#deps.isRelay(endpoint);
  }
}

/** An endpoint that is not given stays. */
function setting(
  { device, peer: { publicKey, allowedIps, keepaliveSeconds } }: RelayedPeer,
  set: { readonly endpoint?: string; readonly keepaliveSeconds?: number },
): WireguardOp {
  const peer = { publicKey, allowedIps, endpoint: undefined, keepaliveSeconds };
  return { kind: 'set-peer', name: device, peer: { ...peer, ...set } };
}
