/**
 * What probes with a network's own number tell of the way to a member, where packets of the path without a network pass: whether that
 * number gets there and back, and large packets with it. Given outcomes, it decides; it sends nothing. Pure.
 */
import { type Found, found } from '../finding.ts';
import type { Backend } from '../underlay.ts';

/** `unknown`: nobody can tell, as where the other one is not ready; it counts for nothing. */
export type NetworkOutcome = 'back' | 'lost-there' | 'lost-back' | 'unknown';

/** One that gets lost is chance, and two hosts make a network's links one after the other. */
export const LOST_AFTER = 4;
const LARGE_LOST_AFTER = 3;

type Lost = 'small' | 'large';

export class NetworkPath {
  readonly #lostInRow = { small: 0, large: 0 };
  #state: 'unknown' | 'passes' | Lost = 'unknown';
  #isLostBack = false;
  #bytes = 0;
  #changedAt = 0;

  /** `bytes`: of the inner packet; `now`: by the wall clock. */
  note(outcome: NetworkOutcome, size: Lost, bytes: number, now: number): void {
    if (outcome === 'unknown') return;
    const before = this.#state;
    this.#lostInRow[size] = outcome === 'back' ? 0 : this.#lostInRow[size] + 1;
    // A large one that comes back says as much as a small one.
    if (size === 'large' && outcome === 'back') this.#lostInRow.small = 0;
    if (outcome !== 'back') this.#isLostBack = outcome === 'lost-back';
    if (size === 'large' && outcome !== 'back') this.#bytes = bytes;
    if (this.#lostInRow.small >= LOST_AFTER) this.#state = 'small';
    else if (this.#lostInRow.large >= LARGE_LOST_AFTER && this.#lostInRow.small === 0) this.#state = 'large';
    else if (this.#lostInRow.small === 0 && this.#lostInRow.large === 0) this.#state = 'passes';
    if (this.#state !== before) this.#changedAt = now;
  }

  get isKnown(): boolean {
    return this.#state !== 'unknown';
  }

  /** Something is to be found out soon. */
  get isInDoubt(): boolean {
    return this.#lostInRow.small > 0 || this.#lostInRow.large > 0;
  }

  /** Large ones are sent only while it is to be known whether they pass. */
  get isLost(): boolean {
    return this.#state === 'small' || this.#state === 'large';
  }

  lost(peer: string): LostWay | undefined {
    if (!this.isLost) return undefined;
    const bytes = this.#state === 'large' ? this.#bytes : 0;
    return { peer, isBack: this.#isLostBack, bytes, since: this.#changedAt };
  }
}

/** A way that loses all packets with the network's number, or, with `bytes`, those as large as that. */
export interface LostWay {
  /** Name. */
  readonly peer: string;
  /** What comes from there; else what goes there. */
  readonly isBack: boolean;
  readonly bytes: number;
  readonly since: number;
}

export interface NamedNetwork {
  readonly name: string;
  readonly vni: number;
  readonly backend: Backend;
  /** UDP, of the data path. */
  readonly port: number;
}

/** One finding of a network, whose words name every way. */
export function judgeNetwork({ name, vni, backend, port }: NamedNetwork, lost: readonly LostWay[]): Found[] {
  if (lost.length === 0) return [];
  const ways = lost.map(({ peer, isBack, bytes }) => {
    const which = bytes === 0 ? '' : ` of ${bytes} bytes (small ones pass)`;
    return isBack ? `those${which} from ${peer} do not get here` : `those${which} from here do not get to ${peer}`;
  });
  const by = backend === 'plain' ? `VXLAN, ${port}/udp` : 'VXLAN within WireGuard';
  const text = `packets of network ${name} (${by}, VNI ${vni}) get lost, though those of another VNI pass between the same hosts: ${ways.join('; ')}. A firewall or a device on the way drops this VNI: let it pass all of ${port}/udp, whatever the VNI (\`nft list ruleset\` on both hosts; in nft it is \`@th,96,24\`, here 0x${vni.toString(16)}); where there is none, compare the network's links and rows there, \`overlayd drift --network ${name}\``;
  const since = Math.min(...lost.map((each) => each.since));
  return found('network-path-lost', [text], name).map((each) => ({ ...each, since }));
}
