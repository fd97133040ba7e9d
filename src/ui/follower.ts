/**
 * Asks the agent on behalf of all pages, as long as one is looked at, and tells them what is different. Asks the less often the longer
 * the agent takes: it has containers to answer.
 */
import type { ClusterView } from '../core/cluster-view.ts';
import { asOverlaydError, isOverlaydError } from '../core/errors.ts';
import type { RecordsPart, RecordsRequest, Status, StatusRequest } from '../gen/overlayd/v1/control.ts';
import type { Clock } from '../ports/runtime.ts';
import { Audience, type Listener } from './audience.ts';
import { ClusterMirror, type Touch } from './cluster-mirror.ts';
import { Published, type ToldChange } from './published.ts';
import { endpointRow, hostRow, networkRow, overviewOf, pathRow, shortId, unknownOverview } from './rows.ts';

/** What it asks of the agent's control service. */
export interface FollowedAgent {
  getStatus(request: StatusRequest): Promise<Status>;
  getRecords(request: RecordsRequest, onTold: (part: RecordsPart) => void): Promise<void>;
}

export interface FollowerOptions {
  /** Another one for each process. */
  readonly run: string;
  readonly writable: boolean;
}

const RECORDS_MS = 1_000;
const STATUS_MS = 2_000;
/** So many times as long as it took it is left in peace: a slow agent has other work, and people wait no longer than a moment. */
const PEACE = 20;
const MOST_MS = 5_000;

export class Follower {
  readonly #agent: FollowedAgent;
  readonly #clock: Clock;
  readonly #writable: boolean;
  readonly #mirror = new ClusterMirror();
  readonly #audience = new Audience<ToldChange>((signal) => this.#run(signal));
  readonly published: Published;
  /** Ids of networks all of whose endpoints were published: from then on those alone that change, of ten thousand one. */
  readonly #shown = new Set<string>();
  #selfId = '';
  #problems: ReadonlyMap<string, string> = new Map();
  #looking: Promise<void> | undefined;
  #records = { dueAt: 0 };
  #status = { dueAt: 0 };

  constructor({ agent, clock }: { readonly agent: FollowedAgent; readonly clock: Clock }, options: FollowerOptions) {
    this.#agent = agent;
    this.#clock = clock;
    this.#writable = options.writable;
    this.published = new Published(options.run, unknownOverview(options.writable, ''));
  }

  /** As of the last look. */
  view = (): ClusterView => this.#mirror.view;

  /** What the status of the agent's host says against a node, in words; undefined: nothing. */
  problemOf = (nodeId: string): string | undefined => this.#problems.get(nodeId);

  /** Until the signal aborts `listener` is told what changes. */
  follow(listener: Listener<ToldChange>, signal: AbortSignal): void {
    this.#audience.join(listener, signal);
  }

  /** JSON of all that is known; of this moment, where nobody has looked for a while. */
  async state(): Promise<string> {
    await this.#look();
    return this.published.stateText();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#look();
      const next = Math.min(this.#records.dueAt, this.#status.dueAt) - this.#clock.elapsed();
      await this.#clock.sleep(Math.max(next, 100), signal).catch(() => undefined);
    }
  }

  /** One at a time; what is not due yet is left out. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookNow(): Promise<void> {
    try {
      await this.#timed(this.#status, STATUS_MS, () => this.#lookAtStatus());
      await this.#timed(this.#records, RECORDS_MS, () => this.#lookAtRecords());
    } catch (error) {
      const away = asOverlaydError(error).message;
      this.published.setOverview({ ...this.published.overview, away });
    }
    const change = this.published.flush();
    if (change) this.#audience.tell(change);
  }

  async #timed(of: { dueAt: number }, everyMs: number, look: () => Promise<void>): Promise<void> {
    const begin = this.#clock.elapsed();
    if (begin < of.dueAt) return;
    of.dueAt = begin + everyMs;
    await look();
    const now = this.#clock.elapsed();
    of.dueAt = now + Math.min(Math.max(everyMs, (now - begin) * PEACE), MOST_MS);
  }

  async #lookAtStatus(): Promise<void> {
    const status = await this.#agent.getStatus({});
    this.#selfId = status.self?.id ?? '';
    this.published.setOverview(overviewOf(status, this.#writable));
    this.published.set('paths', status.peers.map(pathRow));
    const silent = status.peers.filter(({ state }) => state !== 'alive');
    const words = (state: string) =>
      state === 'restarting' ? 'its agent restarts' : `it is ${state}: members do not hear it`;
    this.#problems = new Map(silent.map(({ nodeId, state }) => [nodeId, words(state)]));
  }

  async #lookAtRecords(): Promise<void> {
    try {
      this.#publish(await this.#mirror.look((asked, onTold) => this.#agent.getRecords(asked, onTold)));
    } catch (error) {
      // There are none; the status says so.
      if (!isOverlaydError(error, 'not-joined')) throw error;
    }
  }

  #publish({ all, nodes, networks, endpoints }: Touch): void {
    const { view } = this.#mirror;
    const { published } = this;
    if (nodes)
      published.set(
        'hosts',
        [...view.nodes()].map((node) => hostRow(view, node, this.#selfId)),
      );
    // What members' links carry decides the MTU of all of them.
    const changed = new Set(networks);
    if (nodes) for (const { id } of view.networks()) changed.add(id);
    const meant = new Set([...changed].map(shortId));
    const rows = [...changed].flatMap((id) => view.network(id) ?? []).map((network) => networkRow(view, network));
    published.set('networks', rows, ({ id }) => all || meant.has(id));
    if (all) this.#shown.clear();
    const anew = new Set([...networks].filter((id) => !this.#shown.has(id)));
    if (all || anew.size > 0) {
      const rows = [...anew].flatMap((id) => [...view.endpointsOn(id)].map(endpointRow));
      const isMeant = new Set([...anew].map(shortId));
      published.set('endpoints', rows, ({ network }) => all || isMeant.has(network));
    }
    for (const id of anew) this.#shown.add(id);
    for (const { nodeId, id } of endpoints) {
      const record = view.endpoint({ nodeId, id });
      const there = record && view.addresses(record.networkId);
      const isShown = record?.addresses.some(({ ip }) => there?.get(ip) === record);
      if (record && isShown) published.put('endpoints', endpointRow(record));
      else published.remove('endpoints', shortId(id));
    }
  }
}
