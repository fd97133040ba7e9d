/** The connection that is in use, for calls and streams. */
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import { keys } from '../../core/records.ts';
import { KVService, MaintenanceService, type StatusResponse } from '../../gen/etcd/rpc.ts';
import { EtcdClient, type Method } from './client.ts';
import { encodeLocalRead } from './request.ts';
import { isAnswer, LEARNER, NO_LEADER, StatusError, statusOf } from './store-error.ts';
import { CALL_TIMEOUT_MS, type EtcdTarget } from './target.ts';

export class Link {
  readonly endpoint: string;
  readonly client: EtcdClient;
  /** Of the member's store when the link was made; 0: it did not say. */
  readonly revision: number;
  readonly #over = new AbortController();
  #underWay = 0;
  /** Anything was heard on it; by the connection's clock. */
  heardAt = 0;

  private constructor(client: EtcdClient, endpoint: string, revision: number) {
    this.client = client;
    this.endpoint = endpoint;
    this.revision = revision;
  }

  /**
   * Asks the endpoint how it is: there is a link only to a member that serves. What fails here was not asked for yet.
   * One that does not say (it may want another user for that) is taken, if it has a leader.
   */
  static async open(target: EtcdTarget, endpoint: string, signal: AbortSignal): Promise<Link> {
    const client = new EtcdClient(target, endpoint);
    try {
      const answer = await client.call(MaintenanceService.status, {}, { timeoutMs: CALL_TIMEOUT_MS, signal });
      assertServes(answer);
      return new Link(client, endpoint, answer.header?.revision ?? 0);
    } catch (error) {
      if (isAnswer(error) && !(await isLeaderless(client, signal))) return new Link(client, endpoint, 0);
      client.close();
      throw isAnswer(error) ? new StatusError(status.UNAVAILABLE, NO_LEADER) : error;
    }
  }

  /** Whether its member says now that it knows of no leader. Who does not answer says nothing. */
  isLeaderless(signal: AbortSignal): Promise<boolean> {
    return isLeaderless(this.client, signal);
  }

  /** Whether its member says anything now. Never rejects. */
  readonly isHeard = (signal: AbortSignal): Promise<boolean> =>
    this.client.call(MaintenanceService.status, {}, { signal }).then(() => true, isAnswer);

  /** Aborts when nothing more is to be awaited on it; the reason says why. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Another one is used instead, while this one could go on. */
  get isRetired(): boolean {
    return this.#over.signal.reason instanceof Retired;
  }

  get isUsable(): boolean {
    return !this.#over.signal.aborted && this.client.isConnected;
  }

  /** Keeps the connection until it resolves, also when the link is retired meanwhile. */
  async during<T>(call: Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await call;
    } finally {
      if (--this.#underWay === 0 && this.#over.signal.aborted) this.client.close();
    }
  }

  stream<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response> {
    return this.client.stream(method);
  }

  /** Streams end, for this reason. What was asked and may not be asked twice is awaited. */
  end(reason: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    if (this.#underWay === 0) this.client.close();
  }

  retire(): void {
    this.end(new Retired('another endpoint is used'));
  }
}

class Retired extends Error {}

/** The member refuses to read without a leader, as all calls of ours. */
async function isLeaderless(client: EtcdClient, signal: AbortSignal): Promise<boolean> {
  try {
    await client.call(KVService.range, encodeLocalRead(keys.cluster), { signal });
    return false;
  } catch (error) {
    return statusOf(error).details === NO_LEADER;
  }
}

function assertServes({ leader, isLearner }: StatusResponse): void {
  if (leader === '0') throw new StatusError(status.UNAVAILABLE, NO_LEADER);
  if (isLearner) throw new StatusError(status.UNAVAILABLE, LEARNER);
}
