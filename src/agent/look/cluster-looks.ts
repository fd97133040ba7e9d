/** What any host sees now: this one looks itself, another one is asked, for some seconds at most. */
import { OverlaydError } from '../../core/errors.ts';
import type { Look, Seen } from '../../core/look.ts';
import { resolveRef } from '../../core/reference.ts';
import type { MembersTransport } from '../../ports/members.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface LookingHost {
  readonly id: string;
  readonly name: string;
  /** `host:port` of its listener; undefined: there is no way at the moment. */
  readonly address: string | undefined;
}

export interface ClusterLooksDeps {
  readonly own: (look: Look) => Promise<Seen>;
  /** Throws `not-joined`. */
  readonly self: () => Pick<LookingHost, 'id' | 'name'>;
  /** The other members. */
  readonly others: () => readonly LookingHost[];
  readonly transport: () => MembersTransport | undefined;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** A path that is lost is known as such after a few packets in vain. */
const ANSWER_MS = 15_000;

export class ClusterLooks {
  readonly #deps: ClusterLooksDeps;

  constructor(deps: ClusterLooksDeps) {
    this.#deps = deps;
  }

  /** `node`: name or id; empty: this host. Throws `not-joined`, `node-not-found`, `peer-unreachable`, `version-mismatch`. */
  async from(node: string, look: Look, signal: AbortSignal): Promise<Seen> {
    const { clock, others, own, self, transport } = this.#deps;
    const here = { ...self(), address: undefined };
    const host: LookingHost = node === '' ? here : resolveRef([here, ...others()], node, 'node');
    if (host.id === here.id) return await own(look);
    const way = transport();
    if (host.address === undefined || !way) {
      throw new OverlaydError('peer-unreachable', `there is no way to ${host.name} yet`, { retryable: true });
    }
    const [over, limit] = [new AbortController(), new AbortController()];
    const late = clock.sleep(ANSWER_MS, AbortSignal.any([over.signal, signal])).then(
      () =>
        limit.abort(new OverlaydError('peer-unreachable', `${host.name} did not answer within ${ANSWER_MS / 1_000} s`)),
      () => undefined,
    );
    try {
      const either = AbortSignal.any([limit.signal, signal]);
      return await way.look({ nodeId: host.id, address: host.address }, look, either);
    } finally {
      over.abort();
      await late;
    }
  }
}
