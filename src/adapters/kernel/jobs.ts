/**
 * What the kernel's thread is asked and what it tells: messages between threads, so plain values alone. Of thousands of rows
 * nobody hands over objects, which costs more than asking the kernel: they go as numbers (`core/row-table.ts`), and what was
 * told before is not told again.
 */
import type { Passage } from '../../core/firewall.ts';
import type { Lack, Wanted } from '../../core/host-needs.ts';
import type { Address, Link, Op, Place, Route } from '../../core/host-state.ts';
import type { Filter, NetworkTables } from '../../core/packet-filter.ts';
import type { Silent, Unwelcome } from './connections.ts';
import type { RoutingAnswer, RoutingQuestion } from './host-routing.ts';
import type { PlainError } from './plain-error.ts';
import type { PlaceSeen, PlaceStep, StepRefusal } from './wireguard-place.ts';

export interface Jobs {
  /** What the host has of its own. */
  readonly routing: { readonly ask: RoutingQuestion; readonly tell: RoutingAnswer };
  /** What this host lacks. */
  readonly lacks: { readonly ask: Wanted; readonly tell: readonly Lack[] };
  /** The host's ends of networks' links. */
  readonly uplinks: { readonly ask: undefined; readonly tell: readonly Uplink[] };
  readonly look: { readonly ask: LookRequest; readonly tell: LookAnswer };
  /** One stage after another, up to an essential one of which something was refused; of each of these, what was refused. */
  readonly carryOut: { readonly ask: readonly StageOfWork[]; readonly tell: readonly (readonly Refusal[])[] };
  /** The host, and a namespace beside it that forwards; undefined where there is no such namespace. */
  readonly beside: { readonly ask: Place; readonly tell: BesidePart | undefined };
  readonly filters: {
    readonly ask: readonly FilterQuestion[];
    readonly tell: readonly FilterAnswer[];
  };
  /** A command of nft in the host, such as `list chains`: what it writes; undefined when it fails. */
  readonly rules: { readonly ask: { readonly command: string }; readonly tell: string | undefined };
  /** What the host's table has counted; undefined while there is none. */
  readonly counters: { readonly ask: undefined; readonly tell: Passage | undefined };
  /** What connection tracking knows is listed, before an attach waits for it (`Flows`). */
  readonly listFlows: { readonly ask: undefined; readonly tell: undefined };
  /** Connections of the host that are to end: how many did. */
  readonly endConnections: { readonly ask: Unwelcome; readonly tell: number };
  /** The same, of those whose other end is silent. */
  readonly endSilent: { readonly ask: Silent; readonly tell: number };
  /** Whether the kernel has WireGuard. */
  readonly wireguardModule: { readonly ask: undefined; readonly tell: boolean };
  readonly wireguardLook: { readonly ask: undefined; readonly tell: PlaceSeen | undefined };
  readonly wireguardSteps: { readonly ask: readonly PlaceStep[]; readonly tell: StepRefusal | undefined };
}

// ---------------------------------------------------------------- looking

export interface Uplink {
  readonly index: number;
  readonly name: string;
}

export interface LookRequest {
  readonly host: boolean;
  readonly networks: readonly {
    readonly name: string;
    /** Number of the answer that is still known; 0: none. */
    readonly known: number;
  }[];
  /** Paths of containers' namespaces, or {@link HOST}. */
  readonly insides: readonly Place[];
}

export interface LookAnswer {
  /** Of each: undefined when it was not asked for, or when there is no such namespace. */
  readonly host: Seen<HostPart> | undefined;
  readonly networks: readonly (Seen<NetworkPart> | undefined)[];
  readonly insides: readonly (Seen<InsidePart> | undefined)[];
  /** By which ids events name the insides; each has one, where that can be, before it is looked into. */
  readonly ids: readonly (number | undefined)[];
}

/** What goes wrong with one place is that place's. */
export type Seen<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: PlainError };

export interface InsidePart {
  readonly links: readonly Link[];
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
}

export interface BesidePart {
  readonly host: InsidePart;
  readonly inside: InsidePart & { readonly forwarding: boolean; readonly filter: Filter | undefined };
}

export interface HostPart extends InsidePart {
  readonly forwarding: boolean;
  /** As of `NamespaceState`. */
  readonly forwarding6: boolean;
  readonly advertised: readonly string[];
  /** Words of neighbours, with indexes of links; see `core/row-table.ts`. */
  readonly neighbours: Uint32Array;
  readonly filter: Filter | undefined;
  /** As of `Observed`. */
  readonly namespaces: readonly (readonly [name: string, whose: 'ours' | 'none' | 'foreign'])[];
}

/** What is undefined is as it was in the answer that the asker knows. */
export interface NetworkPart {
  readonly number: number;
  readonly forwarding: boolean;
  readonly forwarding6: boolean;
  readonly links: readonly Link[] | undefined;
  readonly addresses: readonly Address[] | undefined;
  readonly routes: readonly Route[] | undefined;
  readonly neighbours: Uint32Array | undefined;
  readonly fdb: Uint32Array | undefined;
  /** Null: there is no table. */
  readonly filter: Filter | null | undefined;
  readonly services: Filter | null | undefined;
}

export interface FilterQuestion {
  readonly name: string;
  /** Of the answer that is still known. */
  readonly known: string | undefined;
}

export interface FilterAnswer {
  /** Which namespace, and how often its tables were changed; undefined: it could not be asked. */
  readonly generation: string | undefined;
  /** Undefined: as they were. */
  readonly tables: NetworkTables | undefined;
}

// ---------------------------------------------------------------- writing

export interface StageOfWork {
  readonly essential: boolean;
  readonly works: readonly Work[];
}

/** Ops for one place, in order. */
export interface Work {
  readonly place: Place;
  readonly ops: readonly Op[];
}

/** Why an op was not done. */
export interface Refusal {
  /** Positions of the work, and of the op in it. */
  readonly work: number;
  readonly op: number;
  /** Of an op of many rows: the one that was not written; undefined: none was, as far as is known. */
  readonly row?: number;
  readonly error: PlainError;
}

export type JobName = keyof Jobs;
export type Ask<K extends JobName> = Jobs[K]['ask'];
export type Tell<K extends JobName> = Jobs[K]['tell'];

export type ToThread = { [K in JobName]: { readonly id: number; readonly job: K; readonly ask: Ask<K> } }[JobName];
/** `heapBytes`: of the thread, garbage included. */
export type FromThread = { readonly id: number; readonly heapBytes: number } & Outcome;

export type Outcome =
  | { readonly ok: true; readonly tell: Tell<JobName> }
  | { readonly ok: false; readonly error: PlainError };
