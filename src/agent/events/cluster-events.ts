/**
 * Events of all hosts, asked of each by the one where somebody asks. One that does not answer in time is named, and nobody
 * waits for it any longer; each says the newest of its own alone, and of all together as many are held as are asked for.
 */
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { Selected } from '../../core/events/event-history.ts';
import { inOrder, LeftOutCounts, NewestEvents, type TellingHost, type Told } from '../../core/events/told.ts';
import type { EventQuery, MembersTransport } from '../../ports/members.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { EventLog } from './event-log.ts';
import { Heard } from './heard.ts';

export interface EventHost extends TellingHost {
  /** `host:port` of its listener; undefined: there is no way at the moment. */
  readonly address: string | undefined;
}

export interface ClusterEventsDeps {
  readonly own: Pick<EventLog, 'tell'>;
  /** Empty of a host that is no member. */
  readonly self: () => TellingHost;
  /** The other members. */
  readonly others: () => readonly EventHost[];
  readonly transport: () => MembersTransport | undefined;
  readonly clock: Clock;
}

const ANSWER_MS = 5_000;
/** Whoever asked gets it in parts: a message is bounded. */
const TOLD_AT_ONCE = 500;
const ASKED_AT_ONCE = 16;
const AGAIN_MS = 5_000;

/** In place of this host's id: it has none before it is a member, another one when it joins anew, and one log. */
const OWN = '';

interface OfHost {
  /** Of this host the id is {@link OWN}. */
  readonly host: EventHost;
  cursor: number;
  away?: string;
}

/** What has come of what is remembered. */
interface Past {
  readonly newest: NewestEvents;
  readonly leftOut: LeftOutCounts;
}

interface Following {
  readonly cursors: Map<string, number>;
  readonly away: Set<string>;
  readonly heard: Heard;
  /** It is called when the host says something. */
  readonly answer: () => void;
}

export class ClusterEvents {
  readonly #deps: ClusterEventsDeps;

  constructor(deps: ClusterEventsDeps) {
    this.#deps = deps;
  }

  /** What is remembered, in parts; with `follow` what is heard after that. `local`: of this host alone. */
  async *tell(query: EventQuery, options: { readonly local: boolean }, signal: AbortSignal): AsyncGenerator<Told> {
    const leftOut = new LeftOutCounts();
    const past = { newest: new NewestEvents(query.limit, leftOut), leftOut };
    const hosts = await this.#past(this.#hosts(options.local), { ...query, follow: false }, past, signal);
    const events = past.newest.all();
    const away = hosts.flatMap(({ host, away: why }) =>
      why === undefined ? [] : [{ host: this.#named(host).name, reason: why }],
    );
    yield { events: events.slice(0, TOLD_AT_ONCE), leftOut: leftOut.take(), away };
    for (let at = TOLD_AT_ONCE; at < events.length; at += TOLD_AT_ONCE) {
      yield { events: events.slice(at, at + TOLD_AT_ONCE), leftOut: [], away: [] };
    }
    if (query.follow) yield* this.#follow(hosts, query, options.local, signal);
  }

  #hosts(local: boolean): readonly EventHost[] {
    const own = { ...this.#deps.self(), id: OWN, address: undefined };
    return local ? [own] : [own, ...this.#deps.others()];
  }

  /** As it is called now. */
  #named({ id, name }: TellingHost): TellingHost {
    return id === OWN ? this.#deps.self() : { id, name };
  }

  async #past(
    hosts: readonly EventHost[],
    query: EventQuery,
    past: Past,
    signal: AbortSignal,
  ): Promise<readonly OfHost[]> {
    const waiting = [...hosts];
    const answers: OfHost[] = [];
    const ask = async () => {
      for (let host = waiting.shift(); host && !signal.aborted; host = waiting.shift()) {
        answers.push(await this.#ask(host, query, past, signal));
      }
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask));
    return answers;
  }

  async #ask(host: EventHost, query: EventQuery, past: Past, signal: AbortSignal): Promise<OfHost> {
    const answer: OfHost = { host, cursor: query.after };
    let count = 0;
    const answered = new AbortController();
    const limit = new AbortController();
    const late = this.#deps.clock.sleep(ANSWER_MS, AbortSignal.any([answered.signal, signal])).then(
      () => limit.abort(),
      () => undefined,
    );
    try {
      for await (const { events, leftOut, cursor } of this.#source(
        host,
        query,
        AbortSignal.any([limit.signal, signal]),
      )) {
        const named = this.#named(host);
        past.newest.add(named, events);
        for (const [type, of] of Object.entries(leftOut)) past.leftOut.add({ host: named.name, type, count: of });
        answer.cursor = cursor;
        // More than was asked for is nothing that an agent of ours says.
        count += events.length;
        if (count >= query.limit) break;
      }
      if (limit.signal.aborted) answer.away = 'it did not answer in time';
    } catch (error) {
      answer.away = asOverlaydError(error).message;
    } finally {
      answered.abort();
      await late;
    }
    return answer;
  }

  #source(host: EventHost, query: EventQuery, signal: AbortSignal) {
    const { own, self, transport } = this.#deps;
    if (host.id === OWN) {
      return own.tell(query, () => Object.values(self()), signal);
    }
    const way = transport();
    if (host.address === undefined || !way) throw new OverlaydError('peer-unreachable', 'there is no way to it yet');
    return way.events({ nodeId: host.id, address: host.address }, query, signal);
  }

  async *#follow(
    past: readonly OfHost[],
    query: EventQuery,
    local: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Told> {
    const heard = new Heard();
    const following = new Set<string>();
    const cursors = new Map(past.map(({ host, cursor }) => [host.id, cursor]));
    const away = new Set(past.flatMap(({ host, away: why }) => (why === undefined ? [] : [host.id])));
    /** Resolves when it has answered, cannot, or takes too long. */
    const begin = async (host: EventHost) => {
      following.add(host.id);
      const answered = new AbortController();
      const answer = () => answered.abort();
      void this.#followOne(host, query, { cursors, away, heard, answer }, signal).finally(() => {
        answer();
        following.delete(host.id);
      });
      await this.#deps.clock.sleep(ANSWER_MS, AbortSignal.any([answered.signal, signal])).catch(() => undefined);
    };
    // Members come, go and move; of one that is away it is heard when it is back.
    const look = async () => {
      while (!signal.aborted) {
        const waiting = this.#hosts(local).filter(({ id }) => !following.has(id));
        const some = async () => {
          for (let host = waiting.shift(); host && !signal.aborted; host = waiting.shift()) await begin(host);
        };
        await Promise.all(Array.from({ length: ASKED_AT_ONCE }, some));
        await this.#deps.clock.sleep(AGAIN_MS, signal).catch(() => undefined);
      }
      heard.end();
    };
    void look();
    yield* heard.told();
  }

  async #followOne(
    host: EventHost,
    query: EventQuery,
    { cursors, away, heard, answer }: Following,
    signal: AbortSignal,
  ): Promise<void> {
    const { id, name } = host;
    try {
      const after = cursors.get(id) ?? 0;
      // What comes after what was heard is new, whatever the clock there says.
      const asked = after === 0 ? query : { ...query, after, sinceMs: 0 };
      for await (const { events, leftOut, cursor } of this.#source(host, asked, signal)) {
        answer();
        away.delete(id);
        cursors.set(id, Math.max(cursor, cursors.get(id) ?? 0));
        if (events.length > 0 || Object.keys(leftOut).length > 0) {
          heard.add(toldBy(this.#named(host), events, leftOut));
        }
      }
    } catch (error) {
      if (signal.aborted || away.has(id)) return;
      away.add(id);
      heard.add({ events: [], leftOut: [], away: [{ host: name, reason: asOverlaydError(error).message }] });
    }
  }
}

function toldBy(host: TellingHost, events: Selected['events'], leftOut: Selected['leftOut']): Told {
  return {
    events: inOrder(events.map((event) => ({ host, event }))),
    leftOut: Object.entries(leftOut).map(([type, count]) => ({ host: host.name, type, count })),
    away: [],
  };
}
