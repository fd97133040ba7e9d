/**
 * What is decided about questions for upstream servers: what is sent, which servers are asked when, which reply is
 * believed, what the client gets of it, and how many may wait. No socket and no clock in here.
 *
 * Our question is written anew: the client's header bits and DNSSEC wish, its question, nothing else of its message.
 * A reply counts only when it is one, has our id and our question. Servers are hedged: the next is asked when the
 * one before has been silent for a while, and whoever answers first wins.
 */
import {
  copyBytes,
  encodeReply,
  FLAG,
  HEADER_BYTES,
  putOpt,
  putUint16,
  type Query,
  RCODE,
  replyLimit,
  sizeWithOpt,
  uint16,
} from './wire.ts';
import type { Zone } from './zone.ts';

const KEPT_FLAGS = FLAG.RD | FLAG.AD | FLAG.CD;

/** What an upstream server is asked for. */
export interface Errand {
  /** Those of the client: what one set of networks learned is never given to another. */
  readonly networkIds: readonly string[];
  /** Who is asked; empty: the host's servers. */
  readonly upstreams: readonly string[];
  /** Instead: the engine of the container with this key. */
  readonly engineOf?: string | undefined;
}

/** Networks whose questions stay inside say nothing about who is asked; of the others the first that has servers. */
export function errandFor(zones: readonly Zone[]): Errand {
  const upstreams = zones.find((zone) => !zone.internal && zone.upstreams.length > 0)?.upstreams ?? [];
  return { networkIds: zones.map(({ networkId }) => networkId), upstreams };
}

/** Equal for questions that one upstream reply can serve. */
export function formatQuestionKey(query: Query, { networkIds, upstreams, engineOf = '' }: Errand): string {
  const edns = query.edns === undefined ? '-' : query.edns.dnssecOk ? 'do' : 'edns';
  const networks = [...networkIds].sort().join(',');
  return `${query.name} ${query.type} ${query.class} ${query.flags & KEPT_FLAGS} ${edns} ${networks} ${upstreams} ${engineOf}`;
}

/** The message for the upstream server, id 0. */
export function encodeUpstreamQuery(query: Query): Uint8Array {
  const out = new Uint8Array(sizeWithOpt(query, 0));
  copyBytes(query.message, 0, query.questionEnd, out, 0);
  putUint16(out, 0, 0);
  putUint16(out, 2, query.flags & KEPT_FLAGS);
  putUint16(out, 10, 0);
  if (query.edns !== undefined) putOpt(out, query.edns.dnssecOk);
  return out;
}

/**
 * - `answer`: give it to the client
 * - `truncated`: ask again by TCP
 * - `unwilling`: this server cannot, another may
 * - `foreign`: not an answer to this question; somebody may be guessing
 */
export type ReplyVerdict = 'answer' | 'truncated' | 'unwilling' | 'foreign';

/** Judges what came back for `query`, both whole messages; names are compared without case. */
export function judgeReply(query: Uint8Array, reply: Uint8Array): ReplyVerdict {
  if (reply.length < HEADER_BYTES || uint16(reply, 0) !== uint16(query, 0)) return 'foreign';
  const flags = uint16(reply, 2);
  if ((flags & (FLAG.QR | 0x7800)) !== FLAG.QR) return 'foreign';
  const rcode = flags & 15;
  // a server that cannot read the question may leave it out (RFC 1035, 4.1.1)
  if (uint16(reply, 4) === 0 && rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 'unwilling';
  if (uint16(reply, 4) !== 1 || !sameQuestion(query, reply)) return 'foreign';
  if ((flags & FLAG.TC) !== 0) return 'truncated';
  return rcode === RCODE.SERVFAIL || rcode === RCODE.REFUSED || rcode === RCODE.NOTIMP ? 'unwilling' : 'answer';
}

/** Label lengths are below 64 and thus untouched by folding case, so the whole name can be compared byte by byte. */
function sameQuestion(query: Uint8Array, reply: Uint8Array): boolean {
  let at = HEADER_BYTES;
  for (let length = query[at]; length !== 0; length = query[at]) {
    if (length === undefined) return false;
    for (const end = at + 1 + length; at < end; at++) if (fold(query[at]) !== fold(reply[at])) return false;
  }
  for (const end = at + 5; at < end; at++) if (query[at] !== reply[at]) return false;
  return at <= reply.length;
}

function fold(byte: number | undefined): number | undefined {
  return byte !== undefined && byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

/**
 * The upstream's reply as this client gets it: its own id and question, cut to a bare TC where it is too big.
 * Undefined reply: SERVFAIL.
 */
export function fitReply(query: Query, reply: Uint8Array | undefined, transport: 'udp' | 'tcp'): Uint8Array {
  if (reply === undefined || uint16(reply, 4) !== 1) return encodeReply(query, RCODE.SERVFAIL);
  if (reply.length > replyLimit(query, transport)) {
    const cut = encodeReply(query, (reply[3] as number) & 15);
    putUint16(cut, 2, (uint16(cut, 2) & ~FLAG.AA) | FLAG.TC);
    return cut;
  }
  // `slice` of a Node buffer would share the bytes with the other clients that wait for this reply
  const out = new Uint8Array(reply);
  copyBytes(query.message, HEADER_BYTES, query.questionEnd - HEADER_BYTES, out, HEADER_BYTES);
  putUint16(out, 0, uint16(query.message, 0));
  return out;
}

export interface Try {
  readonly server: string;
  /** After the first, counted from the question; earlier when all tries before have failed. */
  readonly afterMs: number;
}

export interface TryOptions {
  readonly budgetMs: number;
  readonly tryMs: number;
}

/** Every server once, from the preferred one on, then round again while the budget leaves a whole try. */
export function planTries(servers: readonly string[], preferred: string | undefined, options: TryOptions): Try[] {
  const first = Math.max(0, preferred === undefined ? 0 : servers.indexOf(preferred));
  const tries: Try[] = [];
  if (servers.length === 0) return tries;
  for (let i = 0; i < servers.length || (i + 1) * options.tryMs <= options.budgetMs; i++) {
    tries.push({ server: servers[(first + i) % servers.length] as string, afterMs: i * options.tryMs });
  }
  return tries;
}

export interface WaitingLimits {
  readonly perClient: number;
  readonly total: number;
}

export interface Waiting {
  /** False when the client, or everybody together, waits for too many answers already. */
  enter(client: string): boolean;
  leave(client: string): void;
  readonly size: number;
}

/** Counts the questions whose clients wait for an upstream server. */
export function createWaiting(limits: WaitingLimits): Waiting {
  const byClient = new Map<string, number>();
  let size = 0;
  return {
    get size() {
      return size;
    },
    enter(client) {
      const own = byClient.get(client) ?? 0;
      if (own >= limits.perClient || size >= limits.total) return false;
      byClient.set(client, own + 1);
      size += 1;
      return true;
    },
    leave(client) {
      const own = byClient.get(client) ?? 0;
      if (own === 0) return;
      if (own === 1) byClient.delete(client);
      else byClient.set(client, own - 1);
      size -= 1;
    },
  };
}
