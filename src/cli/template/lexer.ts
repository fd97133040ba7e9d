/** Text of a template cut into what stands outside of `{{ }}`, and the tokens of what stands inside. */
import { UsageError } from '../exit.ts';

export type Token = {
  /** `field` is `.Name`, `dot` a lone `.`, `variable` is `$` with its name, `sign` one of `| ( ) , = :=`. */
  readonly kind: 'text' | 'number' | 'field' | 'dot' | 'variable' | 'word' | 'sign';
  /** Of a field or variable its name, of a text what is between the quotes. */
  readonly value: string;
  /** No space before it: `(…).Name`. */
  readonly joined: boolean;
};

export type Piece = { readonly text: string } | { readonly source: string; readonly tokens: readonly Token[] };

const SPACE = /\s*/y;
const NAME = String.raw`[\p{L}\d_]+(?:-+[\p{L}\d_]+)*`;
type Kinds = readonly (readonly [kind: Token['kind'] | 'raw' | 'quoted', pattern: RegExp])[];
/** In this order. */
const makeKinds = (): Kinds => [
  ['quoted', /"((?:[^"\\\n]|\\.)*)"/y],
  ['raw', /`([^`]*)`/y],
  ['number', /([+-]?\d+(?:\.\d+)?)(?![\w.])/y],
  ['field', new RegExp(String.raw`\.(${NAME})`, 'uy')],
  ['variable', /\$(\w*)/uy],
  ['dot', /(\.)/y],
  ['sign', /(:=|[|(),=])/y],
  ['word', /([\p{L}_][\p{L}\d_]*)/uy],
];
/** Made with the first template: classes of letters take longer to make than all else that a command without one begins with. */
let kinds: Kinds | undefined;
const END = /\s+-\}\}|\s*\}\}/y;
const COMMENT = /\/\*.*?\*\//sy;

/** Throws {@link UsageError}. `{{-` and `-}}` take the space beside them away, as in Go. */
export function cut(source: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trims = false;
  for (;;) {
    const start = source.indexOf('{{', at);
    const opens = start < 0 ? undefined : /^\{\{-\s/.test(source.slice(start, start + 4));
    let text = plain(source.slice(at, start < 0 ? undefined : start));
    if (trims) text = text.trimStart();
    if (opens) text = text.trimEnd();
    if (text !== '') pieces.push({ text });
    if (start < 0) return pieces;
    const action = readAction(source, start, start + (opens ? 3 : 2));
    if (action.tokens.length > 0 || !action.isComment) {
      pieces.push({ source: source.slice(start, action.end), tokens: action.tokens });
    }
    ({ end: at, trims } = action);
  }
}

/** Outside of actions a shell's single quotes leave these as they are. */
function plain(text: string): string {
  return text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
}

interface Action {
  readonly tokens: readonly Token[];
  readonly isComment: boolean;
  readonly end: number;
  readonly trims: boolean;
}

function readAction(source: string, start: number, from: number): Action {
  const tokens: Token[] = [];
  let at = from;
  let isComment = false;
  for (;;) {
    const end = matchAt(END, source, at);
    if (end) return { tokens, isComment, end: end.end, trims: end.text.includes('-') };
    const next = matchAt(SPACE, source, at)!.end;
    if (tokens.length === 0 && !isComment) {
      const comment = matchAt(COMMENT, source, next);
      if (comment) {
        isComment = true;
        at = comment.end;
        continue;
      }
    }
    const token = readToken(source, next, next === at);
    if (!token) {
      const rest = source.slice(next);
      const what = rest === '' ? 'it has no }}' : `${JSON.stringify(rest.slice(0, 20))} is not understood`;
      throw new UsageError(`--format ${JSON.stringify(source.slice(start))}: ${what}; write it like '{{.Name}}'`);
    }
    tokens.push(token.token);
    at = token.end;
  }
}

function readToken(source: string, at: number, joined: boolean): { token: Token; end: number } | undefined {
  kinds ??= makeKinds();
  for (const [kind, pattern] of kinds) {
    const found = matchAt(pattern, source, at);
    if (!found) continue;
    const of = (value: string, as: Token['kind']) => ({ token: { kind: as, value, joined }, end: found.end });
    if (kind === 'quoted') return of(unquote(found.text), 'text');
    return of(found.inner, kind === 'raw' ? 'text' : kind);
  }
  return undefined;
}

/** Go's escapes in quotes are those of JSON, and a few more. */
function unquote(text: string): string {
  try {
    return JSON.parse(
      text.replaceAll('\t', '\\t').replace(/\\([av'])/g, (_, c: string) => ({ a: '\\u0007', v: '\\u000b' })[c] ?? c),
    );
  } catch {
    throw new UsageError(`--format: ${text} has a backslash that means nothing; write \\n, \\t, \\" or \\\\`);
  }
}

function matchAt(pattern: RegExp, source: string, at: number) {
  pattern.lastIndex = at;
  const match = pattern.exec(source);
  return match ? { text: match[0], inner: match[1] ?? '', end: pattern.lastIndex } : undefined;
}
