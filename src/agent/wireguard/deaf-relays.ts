/**
 * Relays by which this host does not get through to a member, though the member is heard and the relay's agent answers. It says so
 * in its record, so that both ends take the next one; after a while it is tried again.
 */
import type { NodeRecord, WireguardOffer } from '../../core/records.ts';
import { PUNCHING_MS } from '../../core/wireguard/nat-ways.ts';
import type { Ends } from '../../core/wireguard/relaying.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

export interface DeafRelaysDeps {
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Logger;
}

export interface RelayedEnds {
  readonly ends: Ends;
  /** By which nothing came, though it should have. */
  readonly deaf: NodeRecord | undefined;
  /** Somebody relays. */
  readonly hasWay: boolean;
}

const AVOIDED_MS = 300_000;

interface Avoided {
  readonly key: string;
  readonly relay: string;
  readonly at: number;
}

export class DeafRelays {
  readonly #deps: DeafRelaysDeps;
  #avoided: readonly Avoided[] = [];

  constructor(deps: DeafRelaysDeps) {
    this.#deps = deps;
  }

  get published(): NonNullable<WireguardOffer['avoided']> {
    return this.#avoided.map(({ key, relay }) => ({ key, relay }));
  }

  /** Of all pairs that are relayed. True when something changed. */
  note(pairs: readonly RelayedEnds[]): boolean {
    const { clock, logger } = this.#deps;
    const at = clock.elapsed();
    const kept = this.#avoided.filter((each) => {
      const pair = pairs.find(({ ends }) => ends[1].publicKey === each.key);
      // Without any relay the ends call each other, as long as that may take; then the relays have another turn.
      return pair !== undefined && at - each.at < (pair.hasWay ? AVOIDED_MS : PUNCHING_MS);
    });
    const added = pairs.flatMap(({ ends, deaf }) => (deaf ? [{ key: ends[1].publicKey, relay: deaf.id, at }] : []));
    for (const { relay } of added) logger.info({ event: 'relay-avoided', relay }, 'nothing comes by this relay');
    const isChanged = added.length > 0 || kept.length < this.#avoided.length;
    this.#avoided = [...kept, ...added];
    return isChanged;
  }
}
