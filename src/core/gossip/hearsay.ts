/**
 * What is believed of what members say before etcd has said it. etcd decides in the end, within milliseconds where it is
 * followed (`replica.ts`), so this is about the time in between, and about nodes that etcd does not reach:
 *
 * - where etcd is followed, a record that is not there yet may come from anybody, one that is may be changed or deleted by
 *   its owner alone, and members, the cluster and everything else come from etcd only;
 * - where it is not, any member's word has to do, but for what is this node's own: that changes by etcd's word or by its
 *   own act, never by hearsay.
 */
import { isCredibleEpoch } from '../epoch.ts';
import { decodeClaim, decodeEndpoint, decodeNode } from '../record-codec.ts';
import { type NodeRecord, PREFIX } from '../records.ts';
import type { GossipMessage, GossipRecord } from './message.ts';
import type { Verdict } from './replica.ts';

export interface HearsayContext {
  readonly selfId: string;
  readonly followed: boolean;
  /** Whether this node has an endpoint at the address, or any on the network. */
  readonly hasEndpoint: (networkId: string, address: string) => boolean;
  readonly isOnNetwork: (networkId: string) => boolean;
}

/** `held`: the value that the key has here. */
export function judge(
  { key, value }: GossipRecord,
  held: string | undefined,
  from: string,
  { selfId, followed, hasEndpoint, isOnNetwork }: HearsayContext,
): Verdict {
  const [kind, first = '', second = ''] = key.slice(PREFIX.length).split('/');
  const isNew = held === undefined && value !== undefined;
  switch (kind) {
    case 'endpoints': {
      const next = value === undefined ? undefined : decodeEndpoint(value);
      if (value !== undefined && (next?.nodeId !== first || next.id !== second)) return 'check';
      // That there is no such endpoint any more does not contradict a host that has none.
      if (first === selfId && (held ?? value) !== undefined) return 'check';
      return !followed || isNew || first === from ? 'use' : 'check';
    }
    case 'addresses': {
      const owner = held === undefined ? undefined : decodeClaim(held)?.nodeId;
      const next = value === undefined ? undefined : decodeClaim(value)?.nodeId;
      if ((value !== undefined && next === undefined) || hasEndpoint(first, second)) return 'check';
      if (owner === selfId || next === selfId) return 'check';
      if (!followed || isNew) return 'use';
      return owner === from && (value === undefined || next === from) ? 'use' : 'check';
    }
    case 'networks':
    case 'dns':
    case 'services':
      if (!isNew && isOnNetwork(first)) return 'check';
      return !followed || isNew ? 'use' : 'check';
    case 'quarantine':
      // It steers the choice of an address, and etcd's transaction decides that.
      return 'use';
    case 'nodes':
      if (followed) return first === selfId ? 'check' : 'ignore';
      return first !== selfId || isSameHost(held, value) ? 'use' : 'check';
    default:
      return followed ? 'ignore' : 'use';
  }
}

/**
 * Further than this beyond what etcd is known to have reached no revision can be. A restore raises it by a billion
 * (docs/operations.md), and a member may hear of that, and of what was written since, before etcd tells it.
 */
const FURTHEST = 1_000_000_000_000;
const MOST_AHEAD = 100_000;
const LONGEST_KEY = 512;
const LEAST_SEGMENTS: Readonly<Record<string, number>> = {
  endpoints: 3,
  addresses: 3,
  quarantine: 3,
  nodes: 2,
  live: 2,
  networks: 2,
  dns: 2,
  services: 2,
};

/**
 * Takes out of a message what cannot be: the rest of it may be true. `reached`: the highest revision that etcd is known
 * to have had, 0 when none is; `epoch`: the life of it that this node follows. `nonsense` says in words what was taken out.
 */
export function screen(
  message: GossipMessage,
  reached: number,
  epoch?: string,
): { readonly message: GossipMessage; readonly nonsense: readonly string[] } {
  const nonsense: string[] = [];
  const most = reached === 0 ? Number.MAX_SAFE_INTEGER : reached + FURTHEST;
  const isRevision = (value: number) => Number.isSafeInteger(value) && value >= 0 && value <= most;
  const keep = <T>(isSound: boolean, part: T, words: string): T | undefined => {
    if (isSound) return part;
    nonsense.push(words);
    return undefined;
  };
  let { digest, delta } = message;
  // Of what life its revisions are is not known then.
  if (message.epoch !== undefined && !isCredibleEpoch(message.epoch, epoch)) {
    nonsense.push(`that it follows the store's life ${message.epoch.slice(0, 40)}`);
    return { message: { ...message, epoch: undefined, digest: undefined, delta: undefined }, nonsense };
  }
  if (digest) {
    const { completeTo, ahead } = digest;
    const sound = isRevision(completeTo) && ahead.length <= MOST_AHEAD && ahead.every(isRevision);
    digest = keep(sound, digest, `that it holds revision ${isRevision(completeTo) ? ahead.at(-1) : completeTo}`);
    // Who errs about what it holds is not believed about what it sends.
    if (!digest) delta = undefined;
  }
  if (delta) {
    const { from, to } = delta;
    const isStretch = isRevision(from) && isRevision(to) && from <= to;
    const partial = new Set<number>();
    for (const record of delta.records) {
      if (isRecord(record, isRevision)) continue;
      partial.add(record.revision);
      nonsense.push(`${record.key.slice(0, 80)} at revision ${record.revision}`);
    }
    // What was written at one revision is taken whole or not at all.
    const records = delta.records.filter(({ revision }) => !partial.has(revision));
    const claim = keep(isStretch, { from, to }, `all changes from ${from} to ${to}`);
    // A stretch with a hole in it is none.
    const whole = claim !== undefined && records.length === delta.records.length;
    delta = { ...(whole ? claim : { from: 0, to: 0 }), records };
  }
  const members = message.members.filter(
    ({ nodeId, startedAt, incarnation }) =>
      keep(
        Number.isSafeInteger(startedAt) && Number.isSafeInteger(incarnation) && startedAt >= 0 && incarnation >= 0,
        true,
        `incarnation ${incarnation} of ${nodeId.slice(0, 40)}, started at ${startedAt}`,
      ) ?? false,
  );
  return { message: { ...message, digest, delta, members }, nonsense };
}

function isRecord({ key, revision }: GossipRecord, isRevision: (value: number) => boolean): boolean {
  if (!key.startsWith(PREFIX) || key.length > LONGEST_KEY || !isRevision(revision) || revision === 0) return false;
  const segments = key.slice(PREFIX.length).split('/');
  const [kind = ''] = segments;
  return !segments.includes('') && segments.length >= (LEAST_SEGMENTS[kind] ?? 1);
}

/** What a node published of its surroundings it may hear of from others when it begins without etcd; not who it is. */
function isSameHost(held: string | undefined, value: string | undefined): boolean {
  const [a, b] = [held, value].map((text) => (text === undefined ? undefined : decodeNode(text)));
  const identity = (node: NodeRecord) => [
    ...[node.name, node.advertiseAddress, node.gossipPort, node.joinPort, node.vtep, node.dataPathPort],
    ...[node.keyFingerprint, node.left],
  ];
  return a !== undefined && b !== undefined && identity(a).join() === identity(b).join();
}
