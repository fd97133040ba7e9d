/** The page's copy of what it is told: rows by id, in order, kept in step change by change. Pure. */
import { type ClusterChange, type ClusterState, KINDS, type Kind, type Overview, type Rows } from './contract.ts';

type Tables = { readonly [K in Kind]: Map<string, Rows[K]> };

export class ClusterTable {
  readonly #tables: Tables = { hosts: new Map(), paths: new Map(), networks: new Map(), endpoints: new Map() };
  readonly #sorted: { [K in Kind]?: readonly Rows[K][] } = {};
  #endpointsBy: Readonly<Record<'network' | 'host', ReadonlyMap<string, readonly Rows['endpoints'][]>>> | undefined;
  #overview: Overview | undefined;
  #run = '';
  #revision = 0;

  get overview(): Overview | undefined {
    return this.#overview;
  }

  get run(): string {
    return this.#run;
  }

  get revision(): number {
    return this.#revision;
  }

  get<K extends Kind>(kind: K, id: string): Rows[K] | undefined {
    return this.#tables[kind].get(id);
  }

  size(kind: Kind): number {
    return this.#tables[kind].size;
  }

  /** In the order of names; the same array until one of the kind changes. */
  sorted<K extends Kind>(kind: K): readonly Rows[K][] {
    const held = this.#sorted[kind] as readonly Rows[K][] | undefined;
    if (held) return held;
    const sorted = [...this.#tables[kind].values()].sort(byName);
    (this.#sorted as Record<Kind, unknown>)[kind] = sorted;
    return sorted;
  }

  /** Endpoints of a network or a host, in the order of names. */
  endpointsOf(of: 'network' | 'host', id: string): readonly Rows['endpoints'][] {
    this.#endpointsBy ??= {
      network: Map.groupBy(this.sorted('endpoints'), ({ network }) => network),
      host: Map.groupBy(this.sorted('endpoints'), ({ host }) => host),
    };
    return this.#endpointsBy[of].get(id) ?? [];
  }

  begin(state: ClusterState): void {
    this.#run = state.run;
    this.#revision = state.revision;
    this.#overview = state.overview;
    for (const kind of KINDS) {
      const table = this.#tables[kind] as Map<string, Rows[Kind]>;
      table.clear();
      for (const row of state[kind]) table.set(row.id, row);
      this.#forget(kind);
    }
  }

  /** Which kinds of rows changed. One of before, or of now, changes nothing. */
  apply(change: ClusterChange): readonly Kind[] {
    if (change.revision <= this.#revision) return [];
    this.#revision = change.revision;
    if (change.overview) this.#overview = change.overview;
    return KINDS.filter((kind) => {
      const { put = [], gone = [] } = change[kind] ?? {};
      const table = this.#tables[kind] as Map<string, Rows[Kind]>;
      for (const row of put) table.set(row.id, row);
      for (const id of gone) table.delete(id);
      if (put.length === 0 && gone.length === 0) return false;
      this.#forget(kind);
      return true;
    });
  }

  #forget(kind: Kind): void {
    delete this.#sorted[kind];
    if (kind === 'endpoints') this.#endpointsBy = undefined;
  }
}

function byName(a: Rows[Kind], b: Rows[Kind]): number {
  return compareNames('name' in a ? a.name : a.id, 'name' in b ? b.name : b.id) || (a.id < b.id ? -1 : 1);
}

/** As people count: host2 before host10. Some times faster than a collator. */
export function compareNames(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  while (at > 0 && isDigit(a, at - 1)) at--;
  if (isDigit(a, at) && isDigit(b, at)) {
    const [left, right] = [/^\d+/.exec(a.slice(at))![0], /^\d+/.exec(b.slice(at))![0]];
    const difference = Number(left) - Number(right);
    if (difference !== 0) return difference;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}
