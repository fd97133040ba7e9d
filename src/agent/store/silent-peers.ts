/**
 * etcd 3.5 and newer does not notice that a member whom it called has fallen silent (`findings/etcd-half-open-peers.sh`): a connection
 * whose other end is cut off, or is reached at another address by now, would keep two keepers apart for minutes after they could hear
 * each other again. This does what etcd 3.4 did by itself: what has been silent for too long is ended, and etcd calls anew. No etcd notices
 * of a member that has called: one that the others let in no more (its host was removed, and its vote is needed still) would not be
 * told another word.
 */
import type { KeptStore } from '../../core/keepers.ts';
import { Latch } from '../../core/latch.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { keepLooking } from '../cluster/keep-looking.ts';

export interface SilentPeersDeps {
  /** Undefined where etcd is the user's own. */
  readonly kept: () => KeptStore | undefined;
  /** Ends connections that this host made to a port of these addresses, or they to that port here, from where nothing has come for so long; returns how many. */
  readonly end: (silent: {
    readonly port: number;
    readonly addresses: readonly string[];
    readonly forMs: number;
  }) => Promise<number>;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly logger: Logger;
}

const LOOK_MS = 5_000;
/** etcd says something on each every 1.7 s, and 3.4 gives it up after 5 s, so that nothing of one that does is ended here. */
const SILENT_MS = 10_000;
const RETRY_MS = 60_000;
/** A member that is frozen takes one connection after another: that is told so often. */
const TELL_MS = 600_000;

export class SilentPeers {
  readonly #deps: SilentPeersDeps;
  /** Also those that others had: what was called there is what is silent when they have moved. */
  readonly #addresses = new Set<string>();
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(deps: SilentPeersDeps) {
    this.#deps = deps;
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const look = async () => {
      await this.look();
      return LOOK_MS;
    };
    const problem = 'silent connections between members of etcd are not ended';
    await keepLooking({ ...this.#deps, due: new Latch() }, { look, problem, retryMs: RETRY_MS }, signal);
  }

  /** Throws what `end` throws. */
  async look(): Promise<void> {
    const kept = this.#deps.kept();
    if (!kept?.here) return;
    for (const address of kept.peers.addresses) this.#addresses.add(address);
    if (this.#addresses.size === 0) return;
    const { port } = kept.peers;
    const ended = await this.#deps.end({ port, addresses: [...this.#addresses], forMs: SILENT_MS });
    const at = this.#deps.clock.elapsed();
    if (ended === 0 || at - this.#toldAt < TELL_MS) return;
    this.#toldAt = at;
    const event = 'store-silence-ended';
    this.#deps.logger.info({ event, ended }, 'another member of etcd was silent: connections to it were ended');
  }
}
