/** What this host keeps on its disk. */
import type { LocalEndpoint } from '../core/container.ts';
import type { Publication } from '../core/publish.ts';
import type { NetworkRecord } from '../core/records.ts';
import type { StoreMemory } from '../core/store-memory.ts';

/** One small file of JSON, replaced whole (write, fsync, rename). */
export interface JsonFile<T> {
  load(): Promise<T | undefined>;
  save(value: T): Promise<void>;
  remove(): Promise<void>;
}

/** What this node must know without etcd: written whole before it is relied upon. */
export interface NodeState {
  readonly version: 2;
  readonly bootId: string;
  /** Of the agent's last run: the next one's is later, whatever the clock says, and refutes what is said of this one. */
  readonly startedAt: number;
  /** Of what one run of the agent saved, the later has the greater one. Absent in files of earlier versions, as `store`. */
  readonly serial?: number;
  /** By the wall clock, when it was written, or the later moment that it was written before. Absent in files of earlier versions. */
  readonly seenAt?: number;
  readonly store?: StoreMemory;
  readonly endpoints: readonly LocalEndpoint[];
  /** What an engine's containers had before the host was restarted, see `local-endpoints.ts`. */
  readonly former?: readonly LocalEndpoint[];
  /** The networks that all of them are on. */
  readonly networks: readonly NetworkRecord[];
  /** What a person published. Absent: nothing. */
  readonly publications?: readonly Publication[];
}

export interface StateFile {
  /** Undefined when there is none yet. Throws `state-unreadable`. */
  load(): Promise<NodeState | undefined>;
  /**
   * `kept`: the agent's end, however it comes, does not lose it any more. `onDisk`: nor does the host's; it may be waited
   * for by nobody, and rejects with what stands in the way.
   */
  keep(state: NodeState): { readonly kept: Promise<void>; readonly onDisk: Promise<void> };
  /** Resolves when it is on the disk, now and not a moment later. */
  save(state: NodeState): Promise<void>;
  remove(): Promise<void>;
  /** Why every change waits for the disk, in words; undefined when none does. */
  readonly hindrance: string | undefined;
}

/** Lines that are appended without a sync: a crash of the agent loses none, one of the host the last ones, half a line among them. */
export interface LineFile {
  /** None when there is no file. */
  load(): Promise<readonly string[]>;
  append(lines: readonly string[]): Promise<void>;
  /** The former lines or these are there, whatever ends in between. */
  replace(lines: readonly string[]): Promise<void>;
  remove(): Promise<void>;
}

/** Text that travels packed: gzip (RFC 1952). */
export interface Packing {
  pack(text: string): Promise<Uint8Array>;
  /** Throws `invalid-argument`: it is none, or more than `mostBytes`. */
  unpack(packed: Uint8Array, mostBytes: number): Promise<string>;
}
