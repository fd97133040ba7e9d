/** Templates of Go's `text/template`, as Docker's `--format` takes them, to a tree. What is left out is refused by name. */
import { nearest } from '../../core/nearest.ts';
import { UsageError } from '../exit.ts';
import { FUNCTIONS } from './functions.ts';
import { cut, type Piece, type Token } from './lexer.ts';

export type Expression =
  | { readonly kind: 'literal'; readonly value: unknown }
  | { readonly kind: 'dot' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'field'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'assign'; readonly name: string; readonly value: Expression; readonly declares: boolean }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly value: Expression;
      /** `$item :=`, `$key, $item :=` */
      readonly variables: readonly string[];
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | { readonly kind: 'break' }
  | { readonly kind: 'continue' };

const NAMED_TEMPLATES = ['block', 'define', 'template'];

/** Throws {@link UsageError}. */
export function parseNodes(source: string): readonly Node[] {
  const pieces = cut(source);
  const reader = { pieces, at: 0, variables: [''] };
  const { nodes } = readNodes(reader, false, false);
  return nodes;
}

interface Reader {
  readonly pieces: readonly Piece[];
  at: number;
  /** Those that are known here; `$` is the empty one. */
  variables: readonly string[];
}

interface Block {
  readonly nodes: readonly Node[];
  /** What follows `else`, of which there may be nothing; undefined where it ended with `end`. */
  readonly elsewise: Words | undefined;
}

/** Up to `{{end}}` or `{{else}}`, or to the template's end. */
function readNodes(reader: Reader, inside: boolean, inRange: boolean): Block {
  const nodes: Node[] = [];
  const before = reader.variables;
  while (reader.at < reader.pieces.length) {
    const piece = reader.pieces[reader.at++]!;
    if ('text' in piece) {
      nodes.push({ kind: 'text', text: piece.text });
      continue;
    }
    const words = new Words(piece.source, piece.tokens);
    const [first] = piece.tokens;
    const keyword = first?.kind === 'word' ? first.value : '';
    if (keyword === 'end' || keyword === 'else') {
      if (!inside) throw words.refuse(`nothing is open that it could ${keyword === 'end' ? 'end' : 'belong to'}`);
      words.next();
      reader.variables = before;
      if (keyword === 'else') return { nodes, elsewise: words };
      words.mustEnd();
      return { nodes, elsewise: undefined };
    }
    nodes.push(readNode(reader, words, keyword, inRange));
  }
  if (inside) throw new UsageError('--format: an {{if}}, {{with}} or {{range}} has no {{end}}');
  return { nodes, elsewise: undefined };
}

function readNode(reader: Reader, words: Words, keyword: string, inRange: boolean): Node {
  if (keyword === 'if' || keyword === 'with' || keyword === 'range') {
    words.next();
    return readBlock(reader, words, keyword, inRange);
  }
  if (keyword === 'break' || keyword === 'continue') {
    words.next();
    words.mustEnd();
    if (!inRange) throw words.refuse('it belongs into a {{range}}');
    return { kind: keyword };
  }
  if (NAMED_TEMPLATES.includes(keyword)) throw words.refuse('named templates are left out; write it where it is used');
  const { variables, value, declares } = readPipeline(reader, words, 1);
  words.mustEnd();
  const [name] = variables;
  if (name === undefined) return { kind: 'print', value };
  if (declares) reader.variables = [...reader.variables, name];
  return { kind: 'assign', name, value, declares };
}

function readBlock(reader: Reader, words: Words, kind: 'if' | 'with' | 'range', inRange: boolean): Node {
  const before = reader.variables;
  const { variables, value } = readPipeline(reader, words, kind === 'range' ? 2 : 1);
  words.mustEnd();
  reader.variables = [...before, ...variables];
  const { nodes: body, elsewise } = readNodes(reader, true, inRange || kind === 'range');
  const otherwise = elsewise ? readElse(reader, elsewise, kind, inRange) : [];
  reader.variables = before;
  return { kind, value, variables, body, otherwise };
}

function readElse(reader: Reader, words: Words, kind: string, inRange: boolean): readonly Node[] {
  const more = words.peek();
  if (more?.kind === 'word' && (more.value === 'if' || more.value === 'with') && kind !== 'range') {
    words.next();
    return [readBlock(reader, words, more.value, inRange)];
  }
  words.mustEnd();
  const { nodes, elsewise } = readNodes(reader, true, inRange);
  if (elsewise) throw elsewise.refuse('there was an {{else}} already');
  return nodes;
}

interface Pipeline {
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly value: Expression;
}

function readPipeline(reader: Reader, words: Words, mostVariables: number): Pipeline {
  const variables: string[] = [];
  let declares = false;
  const declaration = words.declaration();
  if (declaration) {
    ({ declares } = declaration);
    variables.push(...declaration.names);
    if (variables.length > mostVariables) throw words.refuse('it has too many variables');
    const unknown = declares ? undefined : variables.find((name) => !reader.variables.includes(name));
    if (unknown !== undefined) throw words.refuse(`there is no variable $${unknown}; make it with :=`);
  }
  return { variables, declares, value: readExpression(reader, words) };
}

function readExpression(reader: Reader, words: Words): Expression {
  let value = readCommand(reader, words);
  while (words.take('|')) {
    const next = readCommand(reader, words);
    if (next.kind !== 'call') throw words.refuse('what follows a | is a function');
    value = { ...next, args: [...next.args, value] };
  }
  return value;
}

/** A function with its arguments, or one value. */
function readCommand(reader: Reader, words: Words): Expression {
  const word = words.peek();
  if (word?.kind === 'word' && !LITERALS.has(word.value)) {
    words.next();
    requireFunction(words, word.value);
    const args: Expression[] = [];
    for (let arg = readOperand(reader, words); arg; arg = readOperand(reader, words)) args.push(arg);
    return { kind: 'call', name: word.value, args };
  }
  const value = readOperand(reader, words);
  if (!value) throw words.refuse('a value is missing, like .Name');
  const argument = readOperand(reader, words);
  if (!argument) return value;
  const isLabel = value.kind === 'field' && value.name === 'Label';
  if (!isLabel || readOperand(reader, words)) {
    throw words.refuse('a field takes no arguments; begin with a function, like printf');
  }
  // Docker's, for one of the labels: nothing where there is none.
  return { kind: 'call', name: 'index', args: [{ ...value, name: 'Labels' }, argument] };
}

const LITERALS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['nil', null],
]);

function readOperand(reader: Reader, words: Words): Expression | undefined {
  const first = words.peek();
  let value: Expression;
  if (first === undefined) return undefined;
  if (first.kind === 'sign') {
    if (first.value !== '(') return undefined;
    words.next();
    value = readExpression(reader, words);
    if (!words.take(')')) throw words.refuse('a ) is missing');
  } else {
    words.next();
    value = operandOf(reader, words, first);
  }
  for (let next = words.peek(); next?.kind === 'field' && next.joined; next = words.peek()) {
    words.next();
    value = { kind: 'field', of: value, name: next.value };
  }
  return value;
}

function operandOf(reader: Reader, words: Words, { kind, value }: Token): Expression {
  switch (kind) {
    case 'text':
      return { kind: 'literal', value };
    case 'number':
      return { kind: 'literal', value: Number(value) };
    case 'dot':
      return { kind: 'dot' };
    case 'field':
      return { kind: 'field', of: { kind: 'dot' }, name: value };
    case 'variable':
      if (!reader.variables.includes(value)) throw words.refuse(`there is no variable $${value}`);
      return { kind: 'variable', name: value };
    default:
      if (LITERALS.has(value)) return { kind: 'literal', value: LITERALS.get(value) };
      requireFunction(words, value);
      return { kind: 'call', name: value, args: [] };
  }
}

function requireFunction(words: Words, name: string): void {
  if (Object.hasOwn(FUNCTIONS, name)) return;
  const known = Object.keys(FUNCTIONS);
  const close = nearest(name, known);
  const keywords = ['if', 'else', 'end', 'with', 'range', 'break', 'continue'];
  const place = keywords.includes(name) ? `${name} stands at the beginning of its own {{ }}; ` : '';
  throw words.refuse(
    `there is no function ${name}; ${place}${close ? `did you mean ${close}? ` : ''}there are ${known.join(', ')}`,
  );
}

/** Tokens of one action. */
class Words {
  readonly source: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(source: string, tokens: readonly Token[]) {
    this.source = source;
    this.#tokens = tokens;
  }

  peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  next(): Token | undefined {
    return this.#tokens[this.#at++];
  }

  take(sign: string): boolean {
    const token = this.peek();
    if (token?.kind !== 'sign' || token.value !== sign) return false;
    this.#at++;
    return true;
  }

  /** `$a :=`, `$a, $b :=`, `$a =` */
  declaration(): { readonly names: readonly string[]; readonly declares: boolean } | undefined {
    const [first, comma, second] = this.#tokens.slice(this.#at);
    if (first?.kind !== 'variable') return undefined;
    const names = comma?.value === ',' && second?.kind === 'variable' ? [first.value, second.value] : [first.value];
    const sign = this.#tokens[this.#at + names.length * 2 - 1];
    if (sign?.kind !== 'sign' || (sign.value !== ':=' && sign.value !== '=')) return undefined;
    this.#at += names.length * 2;
    return { names, declares: sign.value === ':=' };
  }

  mustEnd(): void {
    const left = this.peek();
    if (left) throw this.refuse(`${JSON.stringify(left.value)} is one thing too many`);
  }

  refuse(why: string): UsageError {
    return new UsageError(`--format: ${this.source}: ${why}`);
  }
}
