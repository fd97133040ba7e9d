/**
 * The responder: zones, decisions and upstream answers joined to one handler. Questions about our own names are
 * answered in the same turn, once they can be; the others wait for an upstream server, identical ones for the same
 * reply.
 */
import { type Cidr, containsCidr } from '../core/cidr.ts';
import {
  createWaiting,
  type Errand,
  encodeUpstreamQuery,
  errandFor,
  fitReply,
  formatQuestionKey,
} from '../core/dns/forward.ts';
import { AnswerCounter, type AnswerCounts } from '../core/dns/names-counts.ts';
import { type Asker, type Resolution, resolve, resolveForeign } from '../core/dns/resolve.ts';
import { decodeQuery, encodeReply, type Query, RCODE, rcodeOf } from '../core/dns/wire.ts';
import type { Zone } from '../core/dns/zone.ts';
import type { Random } from '../ports/runtime.ts';
import type { DnsClient, DnsForwarder, DnsHandler, DnsInside } from './ports.ts';

export interface ResponderDeps {
  readonly zone: (networkId: string) => Zone | undefined;
  /** Subnets of all networks of the cluster. */
  readonly overlay: () => readonly Cidr[];
  /**
   * Ids of all networks of the container whose endpoint has this address on this network, the network itself
   * included or not; empty for an address of which nothing else is known.
   */
  readonly networksOf: (networkId: string, address: string) => readonly string[];
  /** Whether that container has a way out through a network that is none of ours. */
  readonly hasWayOut?: (networkId: string, address: string) => boolean;
  /**
   * Whether what is known of the networks suffices to say that there is no such name. Else resolves when more may be
   * known, and questions that would be denied, refused or forwarded wait for it; `unknown`: nobody waits any longer.
   */
  readonly untilMore?: (networkIds: readonly string[]) => Promise<void> | 'unknown' | undefined;
  readonly forwarder: DnsForwarder;
  /** Whether the host's engine may know containers of the network whose names are not known here yet. */
  readonly isNaming?: (networkId: string) => boolean;
  /** Asks the engine of the container with that key, as of `DnsInside`. */
  readonly askEngine?: DnsInside['ask'];
  readonly random: Pick<Random, 'next'>;
}

export interface ResponderOptions {
  /** How long who is on none of our networks may keep the absence of an answer. */
  readonly ttlSeconds?: () => number;
  /** Questions waiting for upstream servers: of one client address, and of all together. */
  readonly waitingPerClient?: number;
  readonly waitingTotal?: number;
  /** Milliseconds since some moment, with their fractions. */
  readonly stopwatch?: () => number;
}

/** Counters since start, and how many questions wait right now. */
export interface ResponderStats {
  /** Answered from our own zones, refusals included. */
  readonly answered: number;
  /** No answer: not on the network, or not a question. */
  readonly dropped: number;
  readonly forwarded: number;
  /** Of the forwarded: served by the reply to an identical question already asked. */
  readonly merged: number;
  /** Of the forwarded: no server answered in time. */
  readonly failed: number;
  /** SERVFAIL or nothing at once, because the client or everybody together had too many waiting. */
  readonly overloaded: number;
  readonly waiting: number;
}

export interface Responder {
  readonly handler: DnsHandler;
  /** Out of our own zones in the same turn, and of upstream servers. */
  readonly answers: { readonly own: AnswerCounts; readonly upstream: AnswerCounts };
  stats(): ResponderStats;
}

export function createResponder(deps: ResponderDeps, options: ResponderOptions = {}): Responder {
  const { ttlSeconds = () => 5, stopwatch = () => 0 } = options;
  const waiting = createWaiting({ perClient: options.waitingPerClient ?? 64, total: options.waitingTotal ?? 1024 });
  const flights = new Map<string, Promise<Uint8Array | undefined>>();
  const counts = { answered: 0, dropped: 0, forwarded: 0, merged: 0, failed: 0, overloaded: 0 };
  const answers = { own: new AnswerCounter(), upstream: new AnswerCounter() };
  const random = () => deps.random.next();

  function isOverlay(block: Cidr): boolean {
    return deps.overlay().some((subnet) => containsCidr(subnet, block));
  }

  function zonesOf(client: DnsClient): [Zone, ...Zone[]] | undefined {
    const asked = deps.zone(client.networkId);
    if (asked === undefined) return undefined;
    const ids = deps.networksOf(client.networkId, client.address);
    if (ids.length === 0 || (ids.length === 1 && ids[0] === client.networkId)) return [asked];
    const others = ids.filter((id) => id !== client.networkId).flatMap((id) => deps.zone(id) ?? []);
    return [asked, ...others.sort((a, b) => (a.network < b.network ? -1 : a.network > b.network ? 1 : 0))];
  }

  function askerOf({ address, networkId, transport }: DnsClient, known: [Zone, ...Zone[]], engineOf?: string): Asker {
    return {
      address,
      transport,
      zones: known,
      isOverlay,
      othersKnow: engineOf !== undefined,
      hasWayOut: () => deps.hasWayOut?.(networkId, address) ?? false,
    };
  }

  function ask(query: Query, errand: Errand): Promise<Uint8Array | undefined> {
    const key = formatQuestionKey(query, errand);
    const under = flights.get(key);
    if (under !== undefined) {
      counts.merged += 1;
      return under;
    }
    const { engineOf, upstreams } = errand;
    const message = encodeUpstreamQuery(query);
    const asking =
      engineOf === undefined ? deps.forwarder.ask(message, upstreams) : deps.askEngine?.(engineOf, message);
    const flight = Promise.resolve(asking).finally(() => flights.delete(key));
    flights.set(key, flight);
    return flight;
  }

  async function forward(query: Query, client: DnsClient, errand: Errand): Promise<Uint8Array> {
    counts.forwarded += 1;
    const startedAt = stopwatch();
    try {
      const reply = await ask(query, errand);
      if (reply === undefined) counts.failed += 1;
      const answer = fitReply(query, reply, client.transport);
      answers.upstream.note(answer, (stopwatch() - startedAt) / 1_000);
      return answer;
    } finally {
      waiting.leave(sourceOf(client));
    }
  }

  async function answerLater(more: Promise<void>, message: Uint8Array, client: DnsClient) {
    await more.finally(() => waiting.leave(sourceOf(client)));
    return await answer(message, client);
  }

  function answerUnknown(message: Uint8Array, guess: Uint8Array): Uint8Array {
    counts.answered += 1;
    const query = decodeQuery(message);
    return query?.kind === 'query' ? encodeReply(query, RCODE.SERVFAIL) : guess;
  }

  function answer(message: Uint8Array, client: DnsClient): ReturnType<DnsHandler> {
    const { inside } = client;
    const zones = client.networkId === '' ? undefined : zonesOf(client);
    // The host's own listener: whoever asks there is on none of our networks. Nor can somebody be whose network is not known yet.
    const foreign = client.networkId === '' || (zones === undefined && inside !== undefined);
    const known = foreign ? undefined : zones;
    const engineKnows = inside && (inside.engineKnows || known?.some((zone) => deps.isNaming?.(zone.networkId)));
    const engineOf = inside && (foreign || engineKnows) ? inside.key : undefined;
    const resolution = foreign
      ? resolveForeign(message, { ttlSeconds: ttlSeconds(), isOverlay })
      : known && resolve(message, askerOf(client, known, engineOf), random);
    const more = resolution && isGuess(resolution) ? deps.untilMore?.(idsOf(client, known)) : undefined;
    if (more === 'unknown') {
      // What we would deny may be there. What is not ours by its name is asked outside all the same.
      if (resolution instanceof Uint8Array && known !== undefined) return answerUnknown(message, resolution);
    } else if (more !== undefined && waiting.enter(sourceOf(client))) {
      return answerLater(more, message, client);
    } else if (more !== undefined) {
      counts.overloaded += 1;
      return undefined;
    }
    if (resolution === undefined) {
      counts.dropped += 1;
      return undefined;
    }
    if (resolution instanceof Uint8Array) {
      counts.answered += 1;
      return resolution;
    }
    if (!waiting.enter(sourceOf(client))) {
      counts.overloaded += 1;
      return encodeReply(resolution, RCODE.SERVFAIL);
    }
    return forward(resolution, client, { ...errandFor(known ?? []), engineOf });
  }

  function handler(message: Uint8Array, client: DnsClient): ReturnType<DnsHandler> {
    const startedAt = stopwatch();
    const answered = answer(message, client);
    if (answered instanceof Uint8Array) answers.own.note(answered, (stopwatch() - startedAt) / 1_000);
    return answered;
  }

  return {
    handler,
    answers,
    stats: () => ({ ...counts, waiting: waiting.size }),
  };
}

function idsOf({ networkId }: DnsClient, zones: readonly Zone[] | undefined): readonly string[] {
  return zones === undefined ? [networkId] : zones.map((zone) => zone.networkId);
}

function sourceOf({ networkId, address }: DnsClient): string {
  return `${networkId} ${address}`;
}

/** Whether it would be another one if more were known: a name is denied, refused, or asked of somebody else. */
function isGuess(resolution: Exclude<Resolution, undefined>): boolean {
  if (!(resolution instanceof Uint8Array)) return true;
  const rcode = rcodeOf(resolution);
  return rcode === RCODE.NXDOMAIN || rcode === RCODE.REFUSED;
}
