/**
 * The formats of records and messages have one number, the level. An agent speaks a range of levels and says so in its
 * node record; the cluster's record says which one is spoken. It is raised when every member speaks the next one, and
 * never falls (docs/adr/0015-records-that-can-grow.md). Pure.
 */
import { OverlaydError } from './errors.ts';
import type { ClusterRecord, LevelRange, NodeRecord } from './records.ts';

/**
 * The levels that this agent speaks. At 2 networks, endpoints and members may have addresses of IPv6, and networks multicast
 * and addresses that stay with names; at 3 networks may be encrypted; at 4 the store has members, an epoch and users; at 5
 * certificates of keepers have names of their own, and services addresses.
 */
export const SPOKEN_LEVELS: LevelRange = { from: 1, to: 5 };

/** The level that addresses of IPv6 need: agents that speak lower ones alone cannot read records that have them. */
export const IPV6_LEVEL = 2;

/** The level that multicast needs: agents that speak lower ones alone do not know the option, and would do nothing. */
export const MULTICAST_LEVEL = 2;

/** The level that addresses that stay with names need: agents that speak lower ones alone give them to others. */
export const STICKY_LEVEL = 2;

/** The level that encryption needs: agents that speak lower ones alone do not know the option, and would send in clear. */
export const ENCRYPTION_LEVEL = 3;

/** The level that several keepers need: agents that speak lower ones alone know one host of the store, and no gate. */
export const STORE_LEVEL = 4;

/** The level that names of keepers need: agents that speak lower ones alone let a host in by any member, by that name. */
export const KEEPER_NAMES_LEVEL = 5;

/** The level that services need: agents that speak lower ones alone would repair their addresses away. */
export const SERVICE_LEVEL = 5;

/** What agents spoke that did not say it yet. */
const FIRST_LEVEL = 1;

/** What an agent says of itself, in its node record and when it joins. */
export interface AgentVersion {
  readonly version: string;
  readonly levels: LevelRange;
}

/** `of`: the cluster's record, or the view of it. */
export function levelOf(of: { readonly level?: number | undefined } | undefined): number {
  return of?.level ?? FIRST_LEVEL;
}

export function levelsOf({ levels }: { readonly levels?: LevelRange | undefined }): LevelRange {
  return levels ?? { from: FIRST_LEVEL, to: FIRST_LEVEL };
}

export function speaks({ from, to }: LevelRange, level: number): boolean {
  return from <= level && level <= to;
}

/** The level that the cluster may be raised to: every member that has not left speaks it. */
export function nextLevel(cluster: ClusterRecord, nodes: Iterable<NodeRecord>): number | undefined {
  const next = levelOf(cluster) + 1;
  const members = membersOf(nodes);
  return members.length > 0 && members.every((node) => speaks(levelsOf(node), next)) ? next : undefined;
}

/** The members that do not speak the next level, where another one does. */
export function holdingBack(level: number, nodes: Iterable<NodeRecord>): readonly NodeRecord[] {
  const next = level + 1;
  const members = membersOf(nodes);
  const older = members.filter((node) => levelsOf(node).to < next).sort(byName);
  return older.length < members.length ? older : [];
}

/**
 * Throws `version-mismatch` when the cluster does not speak the level that `what` (in words, of several) needs. Names the
 * members that are too old for it; where there is none the level is about to rise, and `conflict` is thrown.
 */
export function requireLevel(needed: number, spoken: number, nodes: Iterable<NodeRecord>, what: string): void {
  if (spoken >= needed) return;
  const older = membersOf(nodes)
    .filter((node) => levelsOf(node).to < needed)
    .sort(byName);
  if (older.length === 0) {
    throw new OverlaydError(
      'conflict',
      `${what} need level ${needed}, to which the cluster rises in these moments; try again`,
      { retryable: true },
    );
  }
  const names = older.map(({ name, version }) => `${name} (${version ?? 'an older one'})`).join(', ');
  throw new OverlaydError(
    'version-mismatch',
    `${what} need an overlayd that speaks level ${needed} on every host: upgrade it on ${names}, or remove hosts that do not come back (overlayd node rm)`,
  );
}

/** What an agent is told that does not speak the cluster's level: it does nothing until it does. */
export function unspokenLevel({ version, levels }: AgentVersion, level: number): OverlaydError {
  return new OverlaydError(
    'version-mismatch',
    `this host runs overlayd ${version}, which speaks ${words(levels)}; the cluster speaks level ${level}: ${mendOf(levels, level, 'here')}. Until then this agent changes nothing; existing networks and names go on`,
  );
}

/** What a host is told that wants to join and does not speak the cluster's level. Releases before levels say none. */
export function refusedLevel(
  joiner: { readonly version: string; readonly levels?: LevelRange | undefined },
  member: AgentVersion,
  level: number,
): OverlaydError {
  const { levels } = joiner;
  if (!levels) {
    const older = 'this host runs overlayd of an older release, which reads other records than this cluster has';
    return new OverlaydError('version-mismatch', `${older}: install overlayd ${member.version} here and join again`);
  }
  return new OverlaydError(
    'version-mismatch',
    `this host runs overlayd ${joiner.version}, which speaks ${words(levels)}; the cluster speaks level ${level}, the member that was asked runs overlayd ${member.version}: ${mendOf(levels, level, 'on this host')} and join again`,
  );
}

/** For what would write over a record that another version wrote, or rely on it. */
export function unreadableRecord(key: string, what: string): OverlaydError {
  return new OverlaydError(
    'version-mismatch',
    `${what}: its record ${key} in etcd cannot be read by this version of overlayd and is left alone; a newer one may have written it: upgrade overlayd on this host`,
  );
}

function mendOf(levels: LevelRange, level: number, where: string): string {
  return level > levels.to
    ? `install a newer overlayd ${where}`
    : `install an older overlayd ${where}, one that speaks level ${level}`;
}

function words({ from, to }: LevelRange): string {
  return from === to ? `level ${to}` : `levels ${from} to ${to}`;
}

function byName(a: NodeRecord, b: NodeRecord): number {
  return a.name < b.name ? -1 : 1;
}

function membersOf(nodes: Iterable<NodeRecord>): NodeRecord[] {
  return [...nodes].filter(({ left }) => !left);
}
