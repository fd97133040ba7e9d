/**
 * The one connection to etcd, over as many endpoints and outages as it takes. One endpoint is in use at a time; when it
 * does not answer it is given up, and of all that are listed the first that serves takes over, those before it in the list
 * having a head start. Only what cannot have happened is sent again: reads, calls that never left this host, and what a
 * member refused before it did anything.
 *
 * The first endpoint of the list is used again when it is back. One that fails again after that is waited for longer, so
 * that nobody goes back and forth.
 */
import { status } from '@grpc/grpc-js';
import type { OverlaydError } from '../../core/errors.ts';
import { OVER } from '../../core/over.ts';
import { SILENT, type Telemetry } from '../../core/telemetry.ts';
import { MaintenanceService, type ResponseHeader } from '../../gen/etcd/rpc.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { StoreStatus } from '../../ports/store.ts';
import { type CallLimits, EtcdClient, type Method } from './client.ts';
import { firstFit } from './first-fit.ts';
import { isElecting, LeaderLost, MajorityLost, untilHopeless, whenLost } from './leaderless.ts';
import { Link } from './link.ts';
import { Outlook } from './outlook.ts';
import { Reach } from './reach.ts';
import { ALARMS, type Asked, askedOf, OTHER, Refusal } from './refusal.ts';
import {
  alarmsIn,
  asStoreError,
  describeAlarm,
  didNothing,
  isAuthChanged,
  isRefusalOfUser,
  isStanding,
  isThere,
  isUnanswered,
  isUnfit,
  mostTelling,
  StatusError,
  statusOf,
} from './store-error.ts';
import { assertEndpoints, CALL_TIMEOUT_MS, type EtcdTarget, type EtcdTls } from './target.ts';
import { WayBack } from './way-back.ts';

export interface ConnectionDeps {
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly logger: Logger;
  readonly telemetry?: Telemetry | undefined;
}

export interface CallOptions {
  /** It does no harm if the call happens twice. */
  readonly repeatable: boolean;
  /** For all of it, whatever is tried. */
  readonly budgetMs?: number;
  /** For one endpoint. Silence that is shorter than the usual says nothing of the connection. */
  readonly attemptMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** It is about to leave this host. `known`: the highest revision that was heard of. */
  readonly onSend?: (known: number) => void;
  /** Not every user may ask this: that it is refused says nothing of anything else. */
  readonly isPrivileged?: boolean;
}

export type Answer = { readonly header?: ResponseHeader | undefined };

/** Of a call, whatever is tried for it. */
export const BUDGET_MS = 5_000;
/** Where no endpoint served a moment ago, nobody who asks is made to wait for long. */
const AWAY_BUDGET_MS = 400;
/** Nobody who asks how things are waits for long. */
const ALARMS_MS = 1_000;
/** A member alone does not answer what is asked of keys. */
const OF_MAJORITY = '/etcdserverpb.KV/';
const HEAD_START_MS = 300;
const AGAIN_MS = 300;
/** While users change: they may have changed once, or do again and again. */
const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 100;

export class EtcdConnection {
  readonly #clock: ConnectionDeps['clock'];
  readonly #logger: Logger;
  readonly #telemetry: Telemetry;
  readonly #closed = new AbortController();
  readonly #outlook: Outlook;
  #target: EtcdTarget;
  #link: Link | undefined;
  #search: Promise<Link> | undefined;
  /** Aborts when what is searched is no longer what is wanted. */
  #changed = new AbortController();
  /** None of the endpoints served when last asked, for this reason. */
  #away: OverlaydError | undefined;
  /** Given up last, and why, until it is asked again. */
  #failed: string | undefined;
  #failure: OverlaydError | undefined;
  readonly #wayBack: WayBack<Link>;
  #reachable = false;
  readonly #refusal: Refusal;
  #revision = 0;
  #clockProblem: string | undefined;

  constructor(deps: ConnectionDeps, target: EtcdTarget) {
    assertEndpoints(target.endpoints, target.tls !== undefined);
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#refusal = new Refusal(deps);
    this.#telemetry = deps.telemetry ?? SILENT;
    this.#target = target;
    const says = (endpoint: string, signal: AbortSignal) => this.#isThere(endpoint, signal);
    this.#outlook = new Outlook({ clock: deps.clock, isThere: says, reach: new Reach(deps) });
    this.#wayBack = new WayBack({
      ...{ clock: deps.clock, first: () => this.#target.endpoints[0]! },
      open: (first) => this.#open(first, this.#closed.signal),
      take: (opened, first) => {
        if (this.#target.endpoints[0] === first && !this.#closed.signal.aborted) this.#adopt(opened);
        else opened.retire();
      },
    });
  }

  status(): StoreStatus {
    const { endpoints } = this.#target;
    const [clockProblem, refusal] = [this.#clockProblem, this.#refusal.text];
    return { reachable: this.#reachable, endpoints, revision: this.#revision, clockProblem, refusal };
  }

  /** Calls and streams to an endpoint that stays in the list go on. Throws `config-invalid`. */
  setEndpoints(endpoints: readonly string[]): void {
    assertEndpoints(endpoints, this.#target.tls !== undefined);
    if (endpoints.join() === this.#target.endpoints.join()) return;
    if (endpoints[0] !== this.#target.endpoints[0]) this.#wayBack.begin();
    this.#change({ ...this.#target, endpoints: [...endpoints] });
    if (this.#link === undefined || endpoints.includes(this.#link.endpoint)) return;
    this.#link.retire();
    this.#link = undefined;
  }

  /** For connections from now on. */
  setTls(tls: EtcdTls): void {
    this.#change({ ...this.#target, tls });
  }

  /** Throws as of {@link asStoreError}. */
  call<Request, Response extends Answer>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    const call = method.path.slice(method.path.lastIndexOf('/') + 1);
    return this.#telemetry.run('store', { call }, () => this.#call(method, request, options));
  }

  async #call<Request, Response extends Answer>(
    method: Method<Request, Response>,
    request: Request,
    { repeatable, budgetMs = BUDGET_MS, attemptMs = CALL_TIMEOUT_MS, signal, onSend, isPrivileged }: CallOptions,
  ): Promise<Response> {
    const asked = askedOf(method.path, request, repeatable);
    const endsAt = this.#clock.elapsed() + budgetMs;
    let pauseMs = FIRST_PAUSE_MS;
    for (let again = this.#target.endpoints.length; ; again--) {
      const patienceMs = Math.min(endsAt - this.#clock.elapsed(), this.#away ? AWAY_BUDGET_MS : BUDGET_MS);
      const link = await this.link(signal, patienceMs);
      const startedAt = this.#clock.elapsed();
      const timeoutMs = Math.max(1, Math.min(attemptMs, endsAt - startedAt));
      const answered = new AbortController();
      const look = () => this.#outlook.look(this.#target.endpoints, link.endpoint, link.isHeard);
      const lost = whenLost({ clock: this.#clock, link, look, answered: answered.signal });
      try {
        const either = [lost, signal, repeatable ? link.over : undefined].filter((each) => each !== undefined);
        onSend?.(this.#revision);
        const traceparent = this.#telemetry.here();
        const limits: CallLimits = { timeoutMs, signal: AbortSignal.any(either), traceparent };
        const answer = await link.during(link.client.call(method, request, limits));
        this.heard(answer.header, link);
        const tookMs = this.#clock.elapsed() - startedAt;
        if (method.path.startsWith(OF_MAJORITY)) this.#outlook.noteCall(tookMs, this.#target.endpoints);
        this.#refusal.wentWell(asked);
        return answer;
      } catch (thrown) {
        const error = lost.reason ?? (link.over.reason instanceof LeaderLost ? link.over.reason : thrown);
        if (signal?.aborted || (isPrivileged && isRefusalOfUser(error))) throw asStoreError(error, link.endpoint);
        const failure = this.#note(error, link.endpoint, asked);
        // Its member is there, and knows more in a moment.
        if (error instanceof MajorityLost) throw failure;
        if (isUnfit(error) && !this.#isOnlySlow(error, link, startedAt, timeoutMs)) this.failed(link, error);
        const may = isUnanswered(error) && (repeatable || didNothing(error));
        const waitMs = isAuthChanged(error) ? pauseMs : 0;
        const timeLeft = this.#clock.elapsed() + waitMs < endsAt && (again > 0 || waitMs > 0);
        if (!may || !timeLeft || this.#closed.signal.aborted) throw failure;
        if (waitMs === 0) continue;
        await this.#clock.sleep(waitMs, signal).catch(() => undefined);
        pauseMs = Math.min(LAST_PAUSE_MS, 2 * pauseMs);
      } finally {
        answered.abort(OVER);
      }
    }
  }

  /** To one endpoint, listed or not, on a connection of its own. Throws as of {@link asStoreError}. */
  async ask<Request, Response>(
    endpoint: string,
    method: Method<Request, Response>,
    request: Request,
    limits?: CallLimits,
  ): Promise<Response> {
    assertEndpoints([endpoint], this.#target.tls !== undefined);
    const client = new EtcdClient(this.#target, endpoint);
    try {
      return await client.call(method, request, limits);
    } catch (error) {
      throw asStoreError(error, endpoint);
    } finally {
      client.close();
    }
  }

  /** The connection in use, or another one. Throws as of {@link asStoreError}: what was to be sent never left this host. */
  async link(signal?: AbortSignal, patienceMs = BUDGET_MS): Promise<Link> {
    const { endpoints } = this.#target;
    if (this.#closed.signal.aborted) throw this.#unavailable('the store is closed');
    if (this.#link?.isUsable) return this.#link;
    if (this.#link) this.failed(this.#link, new StatusError(status.UNAVAILABLE, 'the connection ended'));
    this.#search ??= this.#find().finally(() => {
      this.#search = undefined;
    });
    const over = new AbortController();
    const either = AbortSignal.any([over.signal, this.#closed.signal, ...(signal ? [signal] : [])]);
    const tooLate = this.#clock.sleep(Math.max(0, patienceMs), either).then(
      () => {
        throw this.#away ?? asStoreError(new StatusError(status.DEADLINE_EXCEEDED, ''), endpoints[0]!);
      },
      () => {
        throw this.#unavailable('given up');
      },
    );
    try {
      return await Promise.race([this.#search, tooLate]);
    } finally {
      over.abort();
      tooLate.catch(() => undefined);
    }
  }

  /** Somebody has heard from the store. */
  heard(header: ResponseHeader | undefined, link: Link): void {
    link.heardAt = this.#clock.elapsed();
    this.#reachable = true;
    this.#clockProblem = undefined;
    this.#revision = Math.max(this.#revision, header?.revision ?? 0);
    if (link === this.#link) this.#wayBack.heard(link.endpoint);
  }

  /** A watch on it began, or was refused: the connection is as good as before. */
  watched(link: Link, asked: Asked, refusal?: unknown): void {
    if (refusal === undefined) this.#refusal.wentWell(asked);
    else this.#note(refusal, link.endpoint, asked);
  }

  /** A call or a stream on it broke, or was not answered: the next one is to be tried. */
  failed(link: Link, error: unknown): void {
    link.end(error);
    if (this.#link !== link) return;
    const failure = this.#note(error, link.endpoint);
    this.#link = undefined;
    this.#reachable = false;
    [this.#failed, this.#failure] = [link.endpoint, failure];
    this.#wayBack.failed(link.endpoint);
    this.#logger.debug({ endpoint: link.endpoint, reason: failure.message }, 'connection to etcd given up');
  }

  /**
   * The alarms that the endpoint in use knows of, each with what to do; none where it tells root alone (etcd 3.5.28 and newer).
   * Throws what calls throw.
   */
  async alarms(): Promise<readonly string[]> {
    const options = { repeatable: true, budgetMs: ALARMS_MS, isPrivileged: true };
    const answer = await this.call(MaintenanceService.status, {}, options).catch((error: OverlaydError) => {
      if (isRefusalOfUser(error.cause)) return undefined;
      throw error;
    });
    if (answer === undefined) return [];
    const alarms = alarmsIn(answer.errors);
    if (alarms.length === 0) this.#refusal.wentWell(ALARMS);
    return alarms.map((alarm) => describeAlarm(alarm, this.#link?.endpoint ?? this.#target.endpoints[0]!));
  }

  close(): void {
    this.#closed.abort();
    this.#link?.end(new StatusError(status.CANCELLED, 'the store is closed'));
    this.#link = undefined;
  }

  /** Of all endpoints the first that serves; the one that was just given up comes last. */
  async #find(): Promise<Link> {
    const { endpoints } = this.#target;
    const changed = this.#changed.signal;
    const order = endpoints.toSorted((a, b) => Number(a === this.#failed) - Number(b === this.#failed));
    const [over, hopeless] = [new AbortController(), new AbortController()];
    // Who has just said that there is no leader need not say it again.
    const failures = new Map(
      endpoints.flatMap((each) => (each === this.#failed && this.#failure ? [[each, this.#failure] as const] : [])),
    );
    this.#failure = undefined;
    const attempt = async (endpoint: string, signal: AbortSignal) => {
      try {
        return await this.#open(endpoint, signal);
      } catch (error) {
        failures.set(endpoint, error as OverlaydError);
        throw error;
      }
    };
    const { patienceMs } = this.#outlook;
    const begunAt = this.#clock.elapsed();
    const isWorthIt = () => isElecting(failures.values(), endpoints.length, this.#clock.elapsed() - begunAt);
    const isAlone = async (endpoint: string) =>
      (await this.#outlook.look(endpoints, endpoint, async () => true)) === 'alone';
    const hope = { clock: this.#clock, failures, endpoints: endpoints.length, patienceMs, isAlone };
    void untilHopeless(hope, over.signal).then(
      () => hopeless.abort(new AggregateError(failures.values())),
      () => undefined,
    );
    try {
      const link = await firstFit(
        {
          ...{ clock: this.#clock, headStartMs: HEAD_START_MS, againMs: AGAIN_MS, isWorthIt },
          signal: AbortSignal.any([changed, hopeless.signal]),
        },
        order,
        attempt,
        (late) => late.retire(),
      );
      if (changed.aborted || this.#closed.signal.aborted) link.retire();
      if (this.#closed.signal.aborted) throw this.#unavailable('the store is closed');
      if (changed.aborted) return await this.#find();
      this.#adopt(link);
      return link;
    } catch (error) {
      if (changed.aborted && !this.#closed.signal.aborted) return await this.#find();
      if (!(error instanceof AggregateError)) throw error;
      const failure = mostTelling(error.errors as OverlaydError[]);
      this.#away = failure;
      this.#reachable = false;
      this.#clockProblem = failure.code === 'clock-skew' ? failure.message : undefined;
      if (isStanding(failure)) this.#refusal.begin(failure.message, failure.cause, OTHER);
      throw failure;
    } finally {
      over.abort();
    }
  }

  #change(target: EtcdTarget): void {
    this.#target = target;
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  async #open(endpoint: string, signal: AbortSignal): Promise<Link> {
    try {
      return await Link.open(this.#target, endpoint, AbortSignal.any([signal, this.#closed.signal]));
    } catch (error) {
      throw asStoreError(error, endpoint);
    }
  }

  async #isThere(endpoint: string, signal: AbortSignal): Promise<boolean> {
    const either = AbortSignal.any([signal, this.#closed.signal]);
    return await this.ask(endpoint, MaintenanceService.status, {}, { signal: either }).then(() => true, isThere);
  }

  #adopt(link: Link): void {
    this.#link?.retire();
    this.#link = link;
    this.#away = undefined;
    this.#reachable = true;
    this.#revision = Math.max(this.#revision, link.revision);
    link.heardAt = this.#clock.elapsed();
    this.#logger.debug({ endpoint: link.endpoint }, 'connected to etcd');
  }

  /** Silence proves something when it lasts, and there is another endpoint or nobody else hears anything. */
  #isOnlySlow(error: unknown, link: Link, askedAt: number, timeoutMs: number): boolean {
    if (statusOf(error).code !== status.DEADLINE_EXCEEDED) return false;
    return timeoutMs < CALL_TIMEOUT_MS || (this.#target.endpoints.length === 1 && link.heardAt > askedAt);
  }

  #note(error: unknown, endpoint: string, asked: Asked = OTHER): OverlaydError {
    const failure = asStoreError(error, endpoint);
    this.#clockProblem = failure.code === 'clock-skew' ? failure.message : undefined;
    if (isStanding(failure)) this.#refusal.begin(failure.message, error, asked);
    return failure;
  }

  #unavailable(details: string): OverlaydError {
    return asStoreError(new StatusError(status.UNAVAILABLE, details), this.#target.endpoints[0]!);
  }
}
