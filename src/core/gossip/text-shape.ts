/**
 * What texts have in common that are the same JSON with other values in it: a text is `fixed[0] values[0] fixed[1] … fixed[n]`.
 * It is taken apart at its quotes and at its numbers, whatever they mean, and is put together as it was. Where it is JSON,
 * the value that it is can be made of the parts, without the text: in a third of the time.
 */

export interface Shape {
  readonly fixed: readonly string[];
  /** By value. */
  readonly kinds: readonly ValueKind[];
  /** Which value says what the text is about; -1: none. */
  readonly subject: number;
  /** What `JSON.parse` makes of a text that has these values and is JSON; undefined: not to be had that way. */
  readonly parse: ((values: readonly string[]) => unknown) | undefined;
}

/** `shared`: a text in quotes that others have too. */
export type ValueKind = 'number' | 'text' | 'shared';

export interface SharedFields {
  /** Names of JSON fields whose values many texts have. */
  readonly shared: readonly string[];
  /** The one of them, of the outermost object, that says what a text is about. */
  readonly subject: string;
}

export interface Parts {
  readonly fixed: readonly string[];
  readonly values: readonly string[];
  /** By value. */
  readonly isQuoted: readonly boolean[];
}

/** Undefined: quotes do not match, or may be no ends of strings. Names of fields are fixed: what is before a colon. */
export function takeApart(text: string): Parts | undefined {
  const pieces = text.split('"');
  if (pieces.length % 2 === 0 || text.includes('\\')) return undefined;
  const [fixed, values, isQuoted]: [string[], string[], boolean[]] = [[], [], []];
  let before = '';
  const add = (value: string, quoted: boolean) => {
    fixed.push(before);
    values.push(value);
    isQuoted.push(quoted);
  };
  pieces.forEach((piece, i) => {
    if (i % 2 === 1) {
      if (pieces[i + 1]!.startsWith(':')) before += `"${piece}"`;
      else {
        before += '"';
        add(piece, true);
        before = '"';
      }
      return;
    }
    const number = /\d+/.exec(piece);
    if (number) {
      before += piece.slice(0, number.index);
      add(number[0], false);
      before = piece.slice(number.index + number[0].length);
    } else before += piece;
  });
  return { fixed: [...fixed, before], values, isQuoted };
}

/** Of a text of that shape; undefined when it has another one. */
export function valuesOf(text: string, { fixed, kinds }: Shape): string[] | undefined {
  if (!text.startsWith(fixed[0]!) || text.includes('\\')) return undefined;
  const values: string[] = [];
  let at = fixed[0]!.length;
  for (let i = 0; i < kinds.length; i++) {
    const end = kinds[i] === 'number' ? endOfNumber(text, at) : text.indexOf('"', at);
    const next = fixed[i + 1]!;
    if (end < at || !text.startsWith(next, end)) return undefined;
    values.push(text.slice(at, end));
    at = end + next.length;
  }
  return at === text.length ? values : undefined;
}

/** -1: there is none. */
function endOfNumber(text: string, start: number): number {
  let end = start;
  for (let code = text.charCodeAt(end); code >= 48 && code <= 57; code = text.charCodeAt(end)) end++;
  return end === start ? -1 : end;
}

export function shapeOf({ fixed, isQuoted }: Parts, { shared, subject }: SharedFields): Shape {
  const isField = (name: string, value: number) => isQuoted[value]! && fixed[value]!.endsWith(`"${name}":"`);
  const isShared = (value: number) => shared.some((name) => isField(name, value));
  return {
    fixed,
    kinds: isQuoted.map((quoted, value) => (quoted ? (isShared(value) ? 'shared' : 'text') : 'number')),
    subject: isQuoted.findIndex((_, value) => isField(subject, value) && isOutermost(fixed, value)),
    parse: parserOf(fixed, isQuoted),
  };
}

/** Whether the value belongs to the outermost object. */
function isOutermost(fixed: readonly string[], value: number): boolean {
  let depth = 0;
  const outside = fixed
    .slice(0, value + 1)
    .join('')
    .replaceAll(/"[^"]*"/g, '');
  for (const [bracket] of outside.matchAll(/[[\]{}]/g)) depth += '{['.includes(bracket) ? 1 : -1;
  return depth === 1;
}

type Make = (values: readonly string[]) => unknown;

/** The text is parsed once, with the number of each value in its place. */
function parserOf(fixed: readonly string[], isQuoted: readonly boolean[]): Make | undefined {
  let text = fixed[0]!;
  for (const [value, quoted] of isQuoted.entries()) {
    const [before, after] = [fixed[value]!, fixed[value + 1]!];
    // Digits that are a part of a number only are none.
    if (!quoted && !(/[:,[]$/.test(before) && /^[,}\]]/.test(after))) return undefined;
    text += (quoted ? value : `"${value}"`) + after;
  }
  const found = new Set<number>();
  const make = (node: unknown): Make => {
    if (typeof node === 'string') {
      const value = Number(node);
      found.add(value);
      return isQuoted[value] ? (values) => values[value] : (values) => Number(values[value]);
    }
    if (Array.isArray(node)) {
      const items = node.map(make);
      return (values) => items.map((item) => item(values));
    }
    if (typeof node !== 'object' || node === null) return () => node;
    const template = { ...node } as Record<string, unknown>;
    const fields = Object.entries(template).map(([name, field]) => [name, make(field)] as const);
    return (values) => {
      const made = { ...template };
      for (const [name, field] of fields) made[name] = field(values);
      return made;
    };
  };
  // A name that is there twice, or that is no plain one, and what is no JSON at all.
  if (text.includes('"__proto__"')) return undefined;
  try {
    const parse = make(JSON.parse(text));
    return found.size === isQuoted.length ? parse : undefined;
  } catch {
    return undefined;
  }
}
