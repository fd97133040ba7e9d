/** Functions of templates: Go's own, and those that Docker adds. */
import { UsageError } from '../exit.ts';
import { jsonText } from '../table.ts';
import { printf } from './printf.ts';
import { isTrue, textOf } from './value.ts';

export type TemplateFunction = (...args: readonly unknown[]) => unknown;

/** `and` and `or` stop where the outcome is known, so they are given what is still to be worked out. */
export const FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  and: (...args) => shortest(args, (value) => !isTrue(value)),
  or: (...args) => shortest(args, isTrue),
  not: (...args) => !isTrue(only('not', args)),
  eq: (first, ...others) => {
    if (others.length === 0) throw refuse('eq', 'give it what to compare with');
    return others.some((other) => isEqual('eq', first, other));
  },
  ne: (...args) => !isEqual('ne', ...two('ne', args)),
  lt: (...args) => order('lt', ...two('lt', args)) < 0,
  le: (...args) => order('le', ...two('le', args)) <= 0,
  gt: (...args) => order('gt', ...two('gt', args)) > 0,
  ge: (...args) => order('ge', ...two('ge', args)) >= 0,
  index: (value, ...keys) => keys.reduce((found: unknown, key) => itemOf(found, key), value),
  slice: (value, from = 0, to) => {
    if (typeof value !== 'string' && !Array.isArray(value)) throw refuse('slice', 'it takes a text or a list');
    return value.slice(numberOf('slice', from), to === undefined ? undefined : numberOf('slice', to));
  },
  len: (...args) => lengthOf(only('len', args)),
  print: (...args) => printed(args, ''),
  println: (...args) => `${args.map(textOf).join(' ')}\n`,
  printf: (format, ...args) => {
    if (typeof format !== 'string') throw refuse('printf', 'a text comes first, like "%s"');
    return printf(format, args);
  },
  json: (...args) => jsonText(only('json', args) ?? null),
  join: (...args) => {
    const [list, separator] = two('join', args);
    if (!Array.isArray(list) || typeof separator !== 'string') throw refuse('join', 'write it like join .Aliases ", "');
    return list.map(textOf).join(separator);
  },
  split: (...args) => {
    const [text, separator] = two('split', args).map((arg) => stringOf('split', arg));
    return text!.split(separator!);
  },
  lower: (...args) => stringOf('lower', only('lower', args)).toLowerCase(),
  upper: (...args) => stringOf('upper', only('upper', args)).toUpperCase(),
  title: (...args) => stringOf('title', only('title', args)).replace(/(^|\s)\p{Ll}/gu, (start) => start.toUpperCase()),
  pad: (...args) => {
    const [text, before, after] = args;
    if (text === '') return '';
    return `${spaces(before)}${stringOf('pad', text)}${spaces(after)}`;
  },
  truncate: (...args) => {
    const [text, length] = two('truncate', args);
    return stringOf('truncate', text).slice(0, numberOf('truncate', length));
  },
};

/** Of `args`, of which those that are functions are worked out when it comes to them. */
function shortest(args: readonly unknown[], decides: (value: unknown) => boolean): unknown {
  let value: unknown;
  for (const arg of args) {
    value = typeof arg === 'function' ? arg() : arg;
    if (decides(value)) return value;
  }
  return value;
}

function isEqual(name: string, first: unknown, second: unknown): boolean {
  if (first === undefined || first === null || second === undefined || second === null) {
    return (first ?? null) === (second ?? null);
  }
  if (typeof first === 'object' || typeof second === 'object') {
    return JSON.stringify(first) === JSON.stringify(second);
  }
  requireAlike(name, first, second);
  return first === second;
}

function order(name: string, first: unknown, second: unknown): number {
  requireAlike(name, first, second);
  if (typeof first === 'number') return first - (second as number);
  if (typeof first !== 'string') throw refuse(name, 'it takes numbers or texts');
  return first < (second as string) ? -1 : first === second ? 0 : 1;
}

function requireAlike(name: string, first: unknown, second: unknown): void {
  if (typeof first === typeof second) return;
  const [one, other] = [first, second].map((value) => `${JSON.stringify(value)} (${typeof value})`);
  throw refuse(name, `${one} and ${other} cannot be compared; texts are written in quotes, numbers without`);
}

function itemOf(value: unknown, key: unknown): unknown {
  if (Array.isArray(value) || typeof value === 'string') {
    const at = numberOf('index', key);
    if (at in Object(value)) return value[at];
    throw refuse('index', `there is no item ${at}, only ${value.length} of them; {{if}} and len tell beforehand`);
  }
  if (typeof value !== 'object') throw refuse('index', `${JSON.stringify(value)} has no items`);
  // As of a Go map of texts.
  if (value === null || !Object.hasOwn(value, String(key))) return '';
  return (value as Record<string, unknown>)[String(key)];
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  if (typeof value === 'object') return Object.keys(value ?? {}).length;
  throw refuse('len', `${JSON.stringify(value) ?? 'nothing'} has no length`);
}

/** Go's `Sprint`: a space between two of which none is a text. */
function printed(args: readonly unknown[], text: string): string {
  return args.reduce((so: string, arg, i) => {
    const gap = i > 0 && typeof arg !== 'string' && typeof args[i - 1] !== 'string' ? ' ' : '';
    return `${so}${gap}${textOf(arg)}`;
  }, text);
}

function only(name: string, args: readonly unknown[]): unknown {
  if (args.length !== 1) throw refuse(name, `it takes one value, not ${args.length}`);
  return args[0];
}

function two(name: string, args: readonly unknown[]): readonly [unknown, unknown] {
  if (args.length !== 2) throw refuse(name, `it takes two values, not ${args.length}`);
  return [args[0], args[1]];
}

function stringOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw refuse(name, `${JSON.stringify(value) ?? 'nothing'} is no text; printf "%v" makes one`);
}

function numberOf(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  throw refuse(name, `${JSON.stringify(value) ?? 'nothing'} is no whole number`);
}

function spaces(count: unknown): string {
  return ' '.repeat(numberOf('pad', count));
}

function refuse(name: string, why: string): UsageError {
  return new UsageError(`--format: ${name}: ${why}`);
}
