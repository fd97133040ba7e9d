/**
 * Unary calls with failover. One endpoint is in use at a time; when it does not answer, its client is thrown away (a
 * channel that sticks goes with it) and the next endpoint takes over. Only what cannot have happened is sent again:
 * reads, and calls that never left this host.
 */
import type { Etcd3, IResponseHeader, IStatusResponse } from 'etcd3';
import type { OverlaydError } from '../../core/errors.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { StoreStatus } from '../../ports/store.ts';
import { openClient } from './client.ts';
import { asStoreError, describeAlarm, isStanding, wasNeverSent } from './store-error.ts';
import { CALL_TIMEOUT_MS, type EtcdTarget } from './target.ts';

interface Link {
  readonly endpoint: string;
  readonly client: Etcd3;
}

type Answer = { readonly header: IResponseHeader };
/** etcd 3.4 and newer; etcd3's types are older. */
type StatusAnswer = IStatusResponse & { readonly errors?: readonly string[] };

/** Nobody who asks how things are waits for long. */
const ALARMS_MS = 1_000;

export class EtcdConnection {
  readonly target: EtcdTarget;
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #logger: Logger;
  #link: Link | undefined;
  #index = 0;
  #reachable = false;
  #refusal: string | undefined;
  #revision = 0;
  #clockProblem: string | undefined;
  #closed = false;

  constructor(deps: { readonly clock: Pick<Clock, 'elapsed'>; readonly logger: Logger }, target: EtcdTarget) {
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.target = target;
  }

  /** The endpoint in use, or next to be tried. */
  get endpoint(): string {
    return this.target.endpoints[this.#index % this.target.endpoints.length]!;
  }

  status(): StoreStatus {
    const { endpoints } = this.target;
    const [clockProblem, refusal] = [this.#clockProblem, this.#refusal];
    return { reachable: this.#reachable, endpoints, revision: this.#revision, clockProblem, refusal };
  }

  /**
   * @param repeatable - true when it does no harm if the call happens twice.
   * @param attempts - the most that are made.
   */
  async call<T extends Answer>(
    repeatable: boolean,
    run: (client: Etcd3) => Promise<T>,
    attempts = Math.max(2, this.target.endpoints.length),
  ): Promise<T> {
    const startedAt = this.#clock.elapsed();
    for (let attempt = 1; ; attempt++) {
      const link = this.#open();
      try {
        const answer = await run(link.client);
        this.heard(answer.header);
        // Reads go well while writes are refused.
        if (!repeatable) this.#refused(undefined);
        return answer;
      } catch (error) {
        const failure = asStoreError(error, link.endpoint);
        this.#clockProblem = failure.code === 'clock-skew' ? failure.message : undefined;
        if (isStanding(failure)) this.#refused(failure.message);
        const unanswered = failure.code === 'store-unavailable' || wasNeverSent(error);
        if (unanswered) this.#abandon(link, failure.message);
        const again =
          unanswered &&
          (repeatable || wasNeverSent(error)) &&
          attempt < attempts &&
          this.#clock.elapsed() - startedAt < CALL_TIMEOUT_MS;
        if (!again || this.#closed) throw failure;
      }
    }
  }

  /** Somebody has heard from the store on a stream. */
  heard(header: IResponseHeader): void {
    this.#reachable = true;
    this.#clockProblem = undefined;
    this.#revision = Math.max(this.#revision, Number(header.revision));
  }

  /** Somebody's stream to `endpoint` broke, for this reason: the next one is to be tried. */
  failed(endpoint: string, failure: OverlaydError): void {
    if (isStanding(failure)) this.#refused(failure.message);
    this.#reachable = false;
    this.#clockProblem = failure.code === 'clock-skew' ? failure.message : undefined;
    if (this.#link?.endpoint === endpoint) this.#abandon(this.#link, 'stream failed');
    else if (this.endpoint === endpoint) this.#index++;
  }

  close(): void {
    this.#closed = true;
    this.#link?.client.close();
    this.#link = undefined;
  }

  /** The alarms that the endpoint in use knows of, each with what to do. Throws what calls throw. */
  async alarms(): Promise<readonly string[]> {
    const { errors } = await this.call(
      true,
      async (client) => (await client.maintenance.status({ deadline: Date.now() + ALARMS_MS })) as StatusAnswer,
      1,
    );
    const alarms = (errors ?? []).flatMap((text) => /alarm:(\w+)/.exec(text)?.[1] ?? []);
    if (alarms.length === 0) this.#refused(undefined);
    return [...new Set(alarms)].map((alarm) => describeAlarm(alarm, this.endpoint));
  }

  /** Told in the log when it begins and when it ends. */
  #refused(refusal: string | undefined): void {
    if (refusal !== undefined && this.#refusal === undefined)
      this.#logger.error({ reason: refusal }, 'etcd refuses what is asked of it');
    if (refusal === undefined && this.#refusal !== undefined) this.#logger.info({}, 'etcd refuses nothing any more');
    this.#refusal = refusal;
  }

  #open(): Link {
    if (this.#closed) throw asStoreError(new Error('14 UNAVAILABLE: the store is closed'), this.endpoint);
    this.#link ??= { endpoint: this.endpoint, client: openClient(this.target, this.endpoint) };
    return this.#link;
  }

  #abandon(link: Link, reason: string): void {
    this.#reachable = false;
    if (this.#link !== link) return;
    link.client.close();
    this.#link = undefined;
    this.#index++;
    if (this.target.endpoints.length > 1) {
      this.#logger.debug(
        { endpoint: link.endpoint, next: this.endpoint, reason },
        'moving on to the next etcd endpoint',
      );
    }
  }
}
