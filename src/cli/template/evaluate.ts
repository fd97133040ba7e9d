/** A parsed template over one row. A field that no row has is refused by name; a key that people choose may be missing. */
import { nearest } from '../../core/nearest.ts';
import { UsageError } from '../exit.ts';
import { FUNCTIONS } from './functions.ts';
import type { Expression, Node } from './parse.ts';
import { isTrue, textOf } from './value.ts';

/** Maps whose keys people choose: a missing key is no mistake. */
const OPEN_MAPS = new Set(['Labels', 'Options', 'AuxiliaryAddresses', 'Containers', 'DriverOpts', 'Fields']);
/** Maps of anything, whatever is below a key. */
const OPEN_TREES = new Set(['Fields']);

/** Innermost first. */
interface Scope {
  readonly name: string;
  value: unknown;
  readonly outer: Scope | undefined;
}

interface State {
  out: string;
  readonly openMaps: WeakSet<object>;
  readonly openTrees: WeakSet<object>;
}

type Ending = 'break' | 'continue' | undefined;

/** Throws {@link UsageError}. */
export function evaluate(nodes: readonly Node[], row: object): string {
  const state: State = { out: '', openMaps: new WeakSet(), openTrees: new WeakSet() };
  walk(nodes, row, { name: '', value: row, outer: undefined }, state);
  return state.out;
}

function walk(nodes: readonly Node[], dot: unknown, outer: Scope, state: State): Ending {
  let scope = outer;
  for (const node of nodes) {
    if (node.kind === 'break' || node.kind === 'continue') return node.kind;
    if (node.kind === 'text') state.out += node.text;
    else if (node.kind === 'print') state.out += textOf(work(node.value, dot, scope, state));
    else if (node.kind === 'assign') {
      const value = work(node.value, dot, scope, state);
      if (node.declares) scope = { name: node.name, value, outer: scope };
      else variable(scope, node.name).value = value;
    } else {
      const ending = node.kind === 'range' ? repeat(node, dot, scope, state) : choose(node, dot, scope, state);
      if (ending) return ending;
    }
  }
  return undefined;
}

type Block = Extract<Node, { kind: 'if' | 'with' | 'range' }>;

function choose(node: Block, dot: unknown, outer: Scope, state: State): Ending {
  const value = work(node.value, dot, outer, state);
  const scope = node.variables.reduce((within: Scope, name) => ({ name, value, outer: within }), outer);
  if (!isTrue(value)) return walk(node.otherwise, dot, scope, state);
  return walk(node.body, node.kind === 'with' ? value : dot, scope, state);
}

function repeat(node: Block, dot: unknown, outer: Scope, state: State): Ending {
  const items = itemsOf(work(node.value, dot, outer, state));
  if (items.length === 0) return walk(node.otherwise, dot, outer, state);
  for (const [key, value] of items) {
    // One variable is the item, the first of two its key.
    const values = node.variables.length === 2 ? [key, value] : [value];
    const scope = node.variables.reduce((within: Scope, name, i) => ({ name, value: values[i], outer: within }), outer);
    if (walk(node.body, value, scope, state) === 'break') break;
  }
  return undefined;
}

/** Maps in the order of their keys, as Go does. */
function itemsOf(value: unknown): readonly (readonly [key: unknown, item: unknown])[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === 'number') return Array.from({ length: value }, (_, i) => [i, i] as const);
  if (typeof value === 'object') return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  throw new UsageError(`--format: range goes over lists and maps, not over ${JSON.stringify(value)}`);
}

function work(of: Expression, dot: unknown, scope: Scope, state: State): unknown {
  switch (of.kind) {
    case 'literal':
      return of.value;
    case 'dot':
      return dot;
    case 'variable':
      return variable(scope, of.name).value;
    case 'field':
      return lookUp(work(of.of, dot, scope, state), of, state);
    case 'call': {
      const isLazy = of.name === 'and' || of.name === 'or';
      const args = of.args.map((arg) => (isLazy ? () => work(arg, dot, scope, state) : work(arg, dot, scope, state)));
      return FUNCTIONS[of.name]!(...args);
    }
  }
}

function variable(scope: Scope, name: string): Scope {
  let found = scope;
  while (found.name !== name) found = found.outer!;
  return found;
}

function lookUp(value: unknown, of: Extract<Expression, { kind: 'field' }>, state: State): unknown {
  // What is not there has no fields either.
  if (value === undefined || value === null) return undefined;
  // Beyond Go's templates: `.Subnets.0` is the first of a list.
  if (Array.isArray(value) && /^\d+$/.test(of.name)) return value[Number(of.name)];
  const known = typeof value === 'object' && !Array.isArray(value) ? value : {};
  const inTree = isBelowTree(of.of) || (typeof value === 'object' && state.openTrees.has(value));
  if (!Object.hasOwn(known, of.name)) {
    if (inTree || state.openMaps.has(known)) return undefined;
    throw unknownField(of, Object.keys(known));
  }
  const found = (known as Record<string, unknown>)[of.name];
  if (typeof found === 'object' && found !== null) {
    if (OPEN_MAPS.has(of.name)) state.openMaps.add(found);
    if (inTree || OPEN_TREES.has(of.name)) state.openTrees.add(found);
  }
  return found;
}

function isBelowTree(of: Expression): boolean {
  return of.kind === 'field' && (OPEN_TREES.has(of.name) || isBelowTree(of.of));
}

function unknownField(of: Extract<Expression, { kind: 'field' }>, known: readonly string[]): UsageError {
  const close = nearest(of.name, known);
  const hint = known.length === 0 ? 'there are none below it' : `there are ${known.join(', ')}`;
  return new UsageError(
    `--format: no field ${of.name} in {{${pathOf(of)}}}; ${close ? `did you mean ${close}? ` : ''}${hint}`,
  );
}

function pathOf(of: Expression): string {
  if (of.kind === 'field') return `${of.of.kind === 'dot' ? '' : pathOf(of.of)}.${of.name}`;
  return of.kind === 'variable' ? `$${of.name}` : of.kind === 'dot' ? '.' : '…';
}
