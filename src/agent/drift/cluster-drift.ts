/**
 * What differs on all hosts, asked of each by the one where somebody asks. One that does not answer in time is named, and nobody
 * waits for it any longer.
 */
import type { DriftReport } from '../../core/drift/drift.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { NetworkRecord } from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import type { DriftQuery, MembersTransport } from '../../ports/members.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface DriftHost {
  readonly id: string;
  readonly name: string;
  /** `host:port` of its listener; undefined: there is no way at the moment. */
  readonly address: string | undefined;
}

export interface ClusterDriftDeps {
  readonly own: (query: DriftQuery, signal: AbortSignal) => Promise<DriftReport>;
  /** Throws `not-joined`. */
  readonly self: () => Omit<DriftHost, 'address'>;
  /** The other members. */
  readonly others: () => readonly DriftHost[];
  readonly networks: () => readonly NetworkRecord[];
  readonly transport: () => MembersTransport | undefined;
  readonly clock: Pick<Clock, 'sleep'>;
}

export interface AskedDrift {
  /** Names or ids; empty: all. */
  readonly network: string;
  readonly node: string;
  readonly repair: boolean;
}

export interface HostDrift {
  readonly host: Omit<DriftHost, 'address'>;
  /** In words, why there is none. */
  readonly found: DriftReport | string;
}

/** A look at a host with thousands of containers takes seconds, a repair looks three times. */
const ANSWER_MS = { look: 10_000, repair: 60_000 } as const;
const ASKED_AT_ONCE = 16;

export class ClusterDrift {
  readonly #deps: ClusterDriftDeps;

  constructor(deps: ClusterDriftDeps) {
    this.#deps = deps;
  }

  /** `tell` is called for each host that is asked, as soon as it has answered. Throws `not-joined`, `network-not-found`, `node-not-found`. */
  async find(asked: AskedDrift, tell: (found: HostDrift) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { networks, others, self } = this.#deps;
    const all = [{ ...self(), address: undefined }, ...others()];
    const waiting = asked.node === '' ? all : [resolveRef(all, asked.node, 'node')];
    const network = asked.network === '' ? '' : resolveRef(networks(), asked.network, 'network').id;
    const query = { network, repair: asked.repair };
    const ask = async () => {
      for (let host = waiting.shift(); host && !signal.aborted; host = waiting.shift()) {
        const { id, name } = host;
        await tell({ host: { id, name }, found: await this.#ask(host, query, signal) });
      }
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask));
  }

  async #ask(host: DriftHost, query: DriftQuery, signal: AbortSignal): Promise<DriftReport | string> {
    const { clock, own, self, transport } = this.#deps;
    const ms = query.repair ? ANSWER_MS.repair : ANSWER_MS.look;
    const [over, limit] = [new AbortController(), new AbortController()];
    const late = clock.sleep(ms, AbortSignal.any([over.signal, signal])).then(
      () => limit.abort(new OverlaydError('peer-unreachable', `it did not answer within ${ms / 1_000} s`)),
      () => undefined,
    );
    const either = AbortSignal.any([limit.signal, signal]);
    try {
      if (host.id === self().id) return await own(query, either);
      const way = transport();
      if (host.address === undefined || !way) throw new OverlaydError('peer-unreachable', 'there is no way to it yet');
      return await way.drift({ nodeId: host.id, address: host.address }, query, either);
    } catch (error) {
      return asOverlaydError(error).message;
    } finally {
      over.abort();
      await late;
    }
  }
}
