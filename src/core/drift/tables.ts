/** In what a loaded table differs from the wanted one: chains and rules, sets and their elements. */
import type { Filter, FilterChain, FilterSet } from '../packet-filter.ts';
import { ruleMark } from '../plan/filter.ts';
import type { Drift } from './drift.ts';

type TableDrift = Pick<Drift, 'kind' | 'object' | 'state' | 'detail'>;

export function tableName({ family }: Pick<Filter, 'family'>): string {
  return `table ${family} overlayd`;
}

/** `wanted` undefined: none is. Rules of `wanted` are text, those of `seen` their comments. */
export function tableDrift(wanted: Filter | undefined, seen: Filter | undefined): TableDrift[] {
  if (!wanted) return seen ? [{ kind: 'table', object: tableName(seen), state: 'extra', detail: '' }] : [];
  const table = tableName(wanted);
  if (!seen) return [{ kind: 'table', object: table, state: 'missing', detail: '' }];
  const drifts = [...setDrift(wanted.sets, seen.sets, table), ...chainDrift(wanted.chains, seen.chains, table)];
  return drifts;
}

function setDrift(wanted: readonly FilterSet[], seen: readonly FilterSet[], table: string): TableDrift[] {
  const there = new Map(seen.map((set) => [set.name, set]));
  const known = new Set(wanted.map(({ name }) => name));
  const drifts: TableDrift[] = [];
  for (const set of wanted) {
    const other = there.get(set.name);
    const object = `set ${set.name} of ${table}`;
    if (!other) drifts.push({ kind: 'set', object, state: 'missing', detail: countOf(set.elements.size, 'element') });
    else if (!isSameKind(set, other)) drifts.push({ kind: 'set', object, state: 'wrong', detail: 'of another type' });
    else if (set.timeoutSeconds === undefined) drifts.push(...elementDrift(set, other, object));
  }
  for (const { name } of seen) {
    if (!known.has(name)) drifts.push({ kind: 'set', object: `set ${name} of ${table}`, state: 'extra', detail: '' });
  }
  return drifts;
}

function elementDrift(wanted: FilterSet, seen: FilterSet, set: string): TableDrift[] {
  const of = (element: string) => `${element} in ${set}`;
  const missing = [...wanted.elements].filter((element) => !seen.elements.has(element));
  const extra = [...seen.elements].filter((element) => !wanted.elements.has(element));
  return [
    ...missing.map((each): TableDrift => ({ kind: 'element', object: of(each), state: 'missing', detail: '' })),
    ...extra.map((each): TableDrift => ({ kind: 'element', object: of(each), state: 'extra', detail: '' })),
  ];
}

function chainDrift(wanted: readonly FilterChain[], seen: readonly FilterChain[], table: string): TableDrift[] {
  const there = new Map(seen.map((chain) => [chain.name, chain]));
  const known = new Set(wanted.map(({ name }) => name));
  const drifts: TableDrift[] = [];
  for (const chain of wanted) {
    const other = there.get(chain.name);
    const object = `chain ${chain.name} of ${table}`;
    if (!other) drifts.push({ kind: 'chain', object, state: 'missing', detail: countOf(chain.rules.length, 'rule') });
    else {
      const detail = chainDetail(chain, other);
      if (detail !== '') drifts.push({ kind: 'chain', object, state: 'wrong', detail });
    }
  }
  for (const { name } of seen) {
    if (!known.has(name))
      drifts.push({ kind: 'chain', object: `chain ${name} of ${table}`, state: 'extra', detail: '' });
  }
  return drifts;
}

/** Empty: it is as it should be. */
function chainDetail(wanted: FilterChain, seen: FilterChain): string {
  const parts: string[] = [];
  if (seen.type !== wanted.type || seen.hook !== wanted.hook || seen.priority !== wanted.priority)
    parts.push(`at ${seen.hook} ${seen.priority} instead of ${wanted.hook} ${wanted.priority}`);
  if (seen.policy !== wanted.policy) parts.push(`policy ${seen.policy} instead of ${wanted.policy}`);
  const marks = new Set(wanted.rules.map(ruleMark));
  const there = new Set(seen.rules);
  const missing = wanted.rules.filter((rule) => !there.has(ruleMark(rule)));
  const extra = seen.rules.filter((mark) => !marks.has(mark)).length;
  if (missing.length > 0) parts.push(`without ${missing.map((rule) => `\`${rule}\``).join(', ')}`);
  if (extra > 0) parts.push(`${countOf(extra, 'rule')} too many`);
  const isReordered = wanted.rules.some((rule, nth) => ruleMark(rule) !== seen.rules[nth]);
  if (parts.length === 0 && (isReordered || seen.rules.length !== wanted.rules.length))
    parts.push('its rules are in another order');
  return parts.join('; ');
}

function isSameKind(a: FilterSet, b: FilterSet): boolean {
  return a.interval === b.interval && a.timeoutSeconds === b.timeoutSeconds && a.type.join() === b.type.join();
}

function countOf(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
