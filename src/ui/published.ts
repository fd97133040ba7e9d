/**
 * What all pages are told: rows by kind, made once for all of them, and the changes of late. A page that has a revision whose changes
 * are held is told what follows; any other one begins with the whole state. Pure.
 */
import {
  type ClusterChange,
  type ClusterState,
  KINDS,
  type Kind,
  type Overview,
  type Rows,
} from '../core/page/contract.ts';

export interface ToldChange {
  readonly revision: number;
  /** JSON of a {@link ClusterChange}. */
  readonly text: string;
}

type Tables = { readonly [K in Kind]: Map<string, { readonly row: Rows[K]; readonly text: string }> };
type Staged = { [K in Kind]?: { readonly put: Map<string, Rows[K]>; readonly gone: Set<string> } };

/** Of changes that are held, characters; a page that was away for longer reads the state anew, which is no more than that. */
const HELD = 2 * 1024 * 1024;

export class Published {
  readonly #run: string;
  readonly #tables: Tables = { hosts: new Map(), paths: new Map(), networks: new Map(), endpoints: new Map() };
  #staged: Staged = {};
  #overview: Overview;
  #overviewChanged = false;
  #revision = 1;
  #changes: ToldChange[] = [];
  #held = 0;
  /** Of the revision; undefined: nobody asked for it. */
  #stateText: string | undefined;

  /** `run`: another one for each process. */
  constructor(run: string, overview: Overview) {
    this.#run = run;
    this.#overview = overview;
  }

  get revision(): number {
    return this.#revision;
  }

  get overview(): Overview {
    return this.#overview;
  }

  setOverview(overview: Overview): void {
    if (JSON.stringify(overview) === JSON.stringify(this.#overview)) return;
    this.#overview = overview;
    this.#overviewChanged = true;
  }

  /** All rows of a kind, or those that `isMeant` says: what there was of them besides is gone. */
  set<K extends Kind>(kind: K, rows: Iterable<Rows[K]>, isMeant: (row: Rows[K]) => boolean = () => true): void {
    const there = new Set<string>();
    for (const row of rows) {
      there.add(row.id);
      this.put(kind, row);
    }
    for (const [id, { row }] of this.#tables[kind]) if (!there.has(id) && isMeant(row)) this.remove(kind, id);
  }

  /** One row, whatever else there is. */
  put<K extends Kind>(kind: K, row: Rows[K]): void {
    const { id } = row;
    const text = JSON.stringify(row);
    if (this.#tables[kind].get(id)?.text === text) return;
    this.#tables[kind].set(id, { row, text });
    const { put, gone } = this.#stagedOf(kind);
    put.set(id, row);
    gone.delete(id);
  }

  remove(kind: Kind, id: string): void {
    if (!this.#tables[kind].delete(id)) return;
    const { put, gone } = this.#stagedOf(kind);
    put.delete(id);
    gone.add(id);
  }

  /** What was set since the last time; undefined: nothing is different. */
  flush(): ToldChange | undefined {
    const parts = KINDS.flatMap((kind) => {
      const { put, gone } = this.#staged[kind] ?? { put: new Map(), gone: new Set<string>() };
      if (put.size + gone.size === 0) return [];
      const change = { ...(put.size > 0 && { put: [...put.values()] }), ...(gone.size > 0 && { gone: [...gone] }) };
      return [[kind, change] as const];
    });
    this.#staged = {};
    if (parts.length === 0 && !this.#overviewChanged) return undefined;
    this.#revision++;
    this.#stateText = undefined;
    const change: ClusterChange = {
      revision: this.#revision,
      ...(this.#overviewChanged && { overview: this.#overview }),
      ...Object.fromEntries(parts),
    };
    this.#overviewChanged = false;
    const told = { revision: this.#revision, text: JSON.stringify(change) };
    this.#changes.push(told);
    this.#held += told.text.length;
    while (this.#held > HELD) this.#held -= this.#changes.shift()!.text.length;
    return told;
  }

  /** What a page lacks that has the revision; undefined: it has to begin anew. */
  since(run: string, revision: number): readonly ToldChange[] | undefined {
    if (run !== this.#run || revision > this.#revision) return undefined;
    const oldest = this.#changes[0]?.revision ?? this.#revision + 1;
    if (revision + 1 < oldest) return undefined;
    return this.#changes.filter((change) => change.revision > revision);
  }

  /** JSON of a {@link ClusterState} as of the last flush, made once for all who ask. */
  stateText(): string {
    this.#stateText ??= this.#renderState();
    return this.#stateText;
  }

  #renderState(): string {
    const head: Pick<ClusterState, 'run' | 'revision' | 'overview'> = {
      ...{ run: this.#run, revision: this.#revision, overview: this.#overview },
    };
    const kinds = KINDS.map((kind) => {
      const rows = [...this.#tables[kind].values()] as readonly { readonly text: string }[];
      return `"${kind}":[${rows.map(({ text }) => text).join(',')}]`;
    });
    return `${JSON.stringify(head).slice(0, -1)},${kinds.join(',')}}`;
  }

  #stagedOf<K extends Kind>(kind: K): NonNullable<Staged[K]> {
    const staged = this.#staged as Record<Kind, unknown>;
    staged[kind] ??= { put: new Map(), gone: new Set() };
    return staged[kind] as NonNullable<Staged[K]>;
  }
}
