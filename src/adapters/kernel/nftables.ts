/** Our nftables tables as text in the language of nft(8), and from its JSON (libnftables-json(5)). Written for 1.0.6. */
import { OverlaydError } from '../../core/errors.ts';
import { type Op, TABLE } from '../../core/host-state.ts';
import type { Filter, FilterChain, FilterSet } from '../../core/packet-filter.ts';
import { ruleMark } from '../../core/plan/filter.ts';

/**
 * Lines for libnftables; all of one input are one transaction. The first table of a place is refused (`EEXIST`) where there is
 * one all the same: a transaction that may delete one makes the kernel wait for some 7 ms in a namespace that is new.
 */
export function renderNft(op: Op): string {
  switch (op.kind) {
    case 'set-filter': {
      const { family } = op.filter;
      const before = op.isFirst ? `create table ${family} ${TABLE}\n` : renderNoFilter(family);
      return `${before}${renderFilter(op.filter)}`;
    }
    case 'delete-filter':
      return renderNoFilter(op.family);
    case 'add-elements':
      return op.sets.map((set) => `add element ${op.family} ${TABLE} ${set.name} ${renderList(set)}\n`).join('');
    case 'remove-elements':
      return op.sets.map((set) => `delete element ${op.family} ${TABLE} ${set.name} ${renderList(set)}\n`).join('');
    default:
      throw new OverlaydError('internal', `${op.kind} is not an op of nft`);
  }
}

/** Without a table there is nothing to delete, so one is made before. */
function renderNoFilter(family: Filter['family']): string {
  return `table ${family} ${TABLE} {}\ndelete table ${family} ${TABLE}\n`;
}

function renderFilter(filter: Filter): string {
  return [
    `table ${filter.family} ${TABLE} {`,
    ...filter.sets.map(renderSet),
    ...filter.chains.map(renderChain),
    '}',
    '',
  ].join('\n');
}

function renderList({ type, elements }: FilterSet): string {
  const render = (element: string) =>
    element
      .split(' ')
      .map((part, index) => (type[index] === 'ifname' ? `"${part}"` : part))
      .join(' . ');
  return `{ ${[...elements].map(render).join(', ')} }`;
}

/** Who fills such a set is not known, so that it has to have an end. */
const MAX_DYNAMIC_ELEMENTS = 1024;

function renderSet(set: FilterSet): string {
  const { name, type, expression, interval, timeoutSeconds, elements } = set;
  return [
    `set ${name} {`,
    expression === undefined ? `type ${type.join(' . ')}` : `typeof ${expression}`,
    ...(interval ? ['flags interval'] : []),
    ...(timeoutSeconds === undefined
      ? []
      : ['flags dynamic,timeout', `timeout ${timeoutSeconds}s`, `size ${MAX_DYNAMIC_ELEMENTS}`]),
    // An empty list of elements is a syntax error.
    ...(elements.size > 0 ? [`elements = ${renderList(set)}`] : []),
    '}',
  ].join('\n');
}

function renderChain({ name, type, hook, priority, policy, rules }: FilterChain): string {
  return [
    `chain ${name} {`,
    `type ${type} hook ${hook} priority ${priority}; policy ${policy};`,
    ...rules.map((rule) => `${rule} comment "${ruleMark(rule)}"`),
    '}',
  ].join('\n');
}

/** How nft from 1.1.0 on tells of a set that was given an expression; those before tell the types of its parts. */
interface Typeof {
  readonly typeof: Expression & { readonly concat?: readonly Expression[] };
}

interface Expression {
  readonly meta?: object;
  readonly payload?: { readonly field?: string };
}

interface Listing {
  readonly nftables: readonly {
    readonly table?: { readonly family: Filter['family'] };
    readonly set?: {
      readonly name: string;
      readonly type: string | readonly string[] | Typeof;
      readonly flags?: string | readonly string[];
      readonly timeout?: number;
      readonly elem?: readonly unknown[];
    };
    readonly chain?: {
      readonly name: string;
      readonly type?: FilterChain['type'];
      readonly hook?: string;
      readonly prio?: number;
      readonly policy?: FilterChain['policy'];
    };
    readonly rule?: {
      readonly chain: string;
      readonly comment?: string;
    };
  }[];
}

/** Of the expressions that we use: a link's name, a MAC, and bits without a name. */
function typesOf(type: string | readonly string[] | Typeof): readonly string[] {
  if (typeof type === 'string') return [type];
  if (!('typeof' in type)) return type;
  return (type.typeof.concat ?? [type.typeof]).map(({ meta, payload }) =>
    meta ? 'ifname' : payload?.field === undefined ? 'integer' : 'ether_addr',
  );
}

/** The rules of the result are comments; see `Filter`. Undefined when the listing has no table. */
export function parseFilter(json: string): Filter | undefined {
  if (json === '') return undefined;
  const { nftables } = JSON.parse(json) as Listing;
  const rules = new Map<string, string[]>();
  for (const { chain, rule } of nftables) {
    if (chain) rules.set(chain.name, rules.get(chain.name) ?? []);
    if (rule) rules.set(rule.chain, [...(rules.get(rule.chain) ?? []), rule.comment ?? '']);
  }
  const family = nftables.find(({ table }) => table)?.table?.family;
  if (!family) return undefined;
  return {
    family,
    sets: nftables.flatMap(({ set }) =>
      set
        ? [
            {
              name: set.name,
              type: typesOf(set.type),
              interval: set.flags?.includes('interval') ?? false,
              timeoutSeconds: set.timeout,
              elements: new Set(set.timeout === undefined ? (set.elem ?? []).map(parseElement) : []),
            },
          ]
        : [],
    ),
    chains: nftables.flatMap(({ chain }) =>
      chain
        ? [
            {
              name: chain.name,
              type: chain.type ?? 'filter',
              hook: chain.hook ?? '',
              priority: chain.prio ?? 0,
              policy: chain.policy ?? 'accept',
              rules: rules.get(chain.name) ?? [],
            },
          ]
        : [],
    ),
  };
}

function parseElement(element: unknown): string {
  if (typeof element === 'string' || typeof element === 'number') return String(element);
  const { concat, prefix } = element as {
    concat?: readonly unknown[];
    prefix?: { readonly addr: string; readonly len: number };
  };
  if (concat) return concat.map(parseElement).join(' ');
  // Anything else is nothing that we write, and as text it equals nothing that we want.
  return prefix ? `${prefix.addr}/${prefix.len}` : JSON.stringify(element);
}
