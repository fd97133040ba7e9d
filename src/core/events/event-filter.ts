/** Which events are asked for. Pure. */
import { OverlaydError } from '../errors.ts';
import { aboutOf } from './event-types.ts';
import type { HostEvent } from './host-event.ts';

/** Of each list one has to fit; an empty one lets everything pass. */
export interface EventFilter {
  /** Milliseconds since the epoch; 0: no bound. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Types, beginnings of types that end in `*`, or what they are about. */
  readonly types: readonly string[];
  /** Names or ids of hosts: the one that saw it, or one that it is about. */
  readonly nodes: readonly string[];
  /** Names of networks. */
  readonly networks: readonly string[];
}

/** Fields that name hosts, and networks. */
const NODE_FIELDS = ['node', 'nodeId', 'name', 'member', 'members', 'peer', 'between', 'relay', 'to'];
const NETWORK_FIELDS = ['network', 'networkId'];

/** What one filter may cost the host that is asked: each event is compared with each entry. */
const MOST_ENTRIES = 100;
const MOST_TEXT = 256;

/** Throws `invalid-argument` for a filter larger than anybody needs. */
export function requireBounded({ types, nodes, networks }: EventFilter): void {
  for (const [what, entries] of Object.entries({ types, nodes, networks })) {
    if (entries.length > MOST_ENTRIES) {
      throw new OverlaydError(
        'invalid-argument',
        `events are asked for by ${entries.length} ${what}; ${MOST_ENTRIES} are the most: leave the filter out, or ask several times`,
      );
    }
    const long = entries.find((text) => text.length > MOST_TEXT);
    if (long !== undefined) {
      throw new OverlaydError(
        'invalid-argument',
        `one of the ${what} that events are asked for has ${long.length} characters; ${MOST_TEXT} are the most`,
      );
    }
  }
}

export function mayFit(
  { sinceMs, untilMs, types }: EventFilter,
  { type, at }: Pick<HostEvent, 'type' | 'at'>,
): boolean {
  if (at < sinceMs || (untilMs > 0 && at > untilMs)) return false;
  return types.length === 0 || types.some((wanted) => isOfType(wanted, type));
}

/** `host`: name and id of the one that saw it. Only of those that {@link mayFit}. */
export function fits({ nodes, networks }: EventFilter, { fields }: HostEvent, host: readonly string[]): boolean {
  const names = (list: readonly string[]) => list.flatMap((field) => fields[field] ?? []).map(String);
  const isAmong = (wanted: readonly string[], found: readonly string[]) =>
    wanted.length === 0 || wanted.some((each) => found.includes(each));
  return isAmong(nodes, [...host, ...names(NODE_FIELDS)]) && isAmong(networks, names(NETWORK_FIELDS));
}

function isOfType(wanted: string, type: string): boolean {
  if (wanted.endsWith('*')) return type.startsWith(wanted.slice(0, -1));
  return wanted === type || wanted === aboutOf(type);
}
