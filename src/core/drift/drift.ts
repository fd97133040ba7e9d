/** What the kernel, or a file of a container, holds otherwise than is wanted of it, object by object. Pure. */

export const DRIFT_KINDS = [
  ...(['namespace', 'link', 'port flags', 'setting', 'address', 'route', 'neighbour', 'FDB row'] as const),
  ...(['table', 'chain', 'set', 'element', 'resolver', 'names'] as const),
] as const;
export type DriftKind = (typeof DRIFT_KINDS)[number];

/** `extra`: it is there, and is not wanted. */
export type DriftState = 'missing' | 'wrong' | 'extra';

export interface Drift {
  readonly kind: DriftKind;
  /** Name of the network that it is of; empty: it is the host's own part, or of a network that there is no more. */
  readonly network: string;
  /** `host`, the network's namespace (`ovl-4096`), or a container as it was named (`netns:c1`). */
  readonly place: string;
  /** What it is there, as the ordinary tools write it: `10.0.0.9 dev vx0`. Tells it from all others of its kind and place. */
  readonly object: string;
  readonly state: DriftState;
  /** How it differs, in words; empty where the state says it all. */
  readonly detail: string;
  /** What it is wanted for, in words. */
  readonly why: string;
}

/** As a host tells it, which may know kinds that are not known here. */
export interface ReportedDrift extends Omit<Drift, 'kind' | 'state'> {
  readonly kind: string;
  readonly state: string;
  /** By the wall clock, as far as that host's agent has seen it. */
  readonly sinceMs: number;
  /** Why it cannot be put right, in words; empty: nothing is known to stand in the way. */
  readonly hindered: string;
}

/** The same for one object as long as it differs, however it does. */
export function driftKey({ kind, place, object }: Pick<ReportedDrift, 'kind' | 'place' | 'object'>): string {
  return `${place}\n${kind}\n${object}`;
}

/** What was put back without anybody asking, and how often. */
export interface PutBack<D = ReportedDrift> {
  /** As it was found the last time. */
  readonly drift: D;
  readonly times: number;
  /** By the wall clock. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** What one host says of itself. */
export interface DriftReport {
  readonly differs: readonly ReportedDrift[];
  /** With a repair: what differed before it and does not any more. */
  readonly repaired: readonly ReportedDrift[];
  /** The last one first. */
  readonly putBack: readonly PutBack[];
  /** So much more differs than is listed. */
  readonly leftOut: number;
  /** Not all of the cluster is known there, so what is there too much is not known either. */
  readonly isPartial: boolean;
}
