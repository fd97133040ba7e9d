/** As much of vitest's `expect` as suites use that run on another kernel. Strict: what it does not know is missing. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';

const POLL_MS = 120_000;

class Pattern {
  readonly name: string;
  readonly matches: (value: unknown) => boolean;
  constructor(name: string, matches: (value: unknown) => boolean) {
    this.name = name;
    this.matches = matches;
  }
  [inspect.custom](): string {
    return this.name;
  }
}

/** `part`: properties that are not wanted do not matter. */
function isLike(value: unknown, wanted: unknown, part = false): boolean {
  if (wanted instanceof Pattern) return wanted.matches(value);
  if (typeof wanted !== 'object' || wanted === null || typeof value !== 'object' || value === null) {
    return Object.is(value, wanted);
  }
  if (Array.isArray(wanted) || Array.isArray(value)) {
    if (!Array.isArray(wanted) || !Array.isArray(value) || wanted.length !== value.length) return false;
    return wanted.every((each, at) => isLike(value[at], each, part));
  }
  if (wanted instanceof Set || wanted instanceof Map) {
    if (value.constructor !== wanted.constructor) return false;
    const [has, left] = [[...(value as Set<unknown>)], [...wanted]];
    return has.length === left.length && left.every((each) => has.some((other) => isLike(other, each, part)));
  }
  if (wanted instanceof RegExp || wanted instanceof Date) return String(value) === String(wanted);
  const [has, wants] = [value as Record<string, unknown>, wanted as Record<string, unknown>];
  const names = part ? Object.keys(wants) : [...new Set([...Object.keys(has), ...Object.keys(wants)])];
  return names.every((name) => (!part || name in has) && isLike(has[name], wants[name], part));
}

function contains(value: unknown, wanted: unknown, isEqual: (a: unknown, b: unknown) => boolean): boolean {
  if (typeof value === 'string') return isEqual === Object.is && value.includes(wanted as string);
  return [...(value as Iterable<unknown>)].some((each) => isEqual(each, wanted));
}

function isKind(value: unknown, kind: unknown): boolean {
  if (kind === Number) return typeof value === 'number';
  if (kind === String) return typeof value === 'string';
  if (kind === Boolean) return typeof value === 'boolean';
  return value instanceof (kind as new () => unknown);
}

/** Whether an error is the one that is told; every error is, where none is. */
function isError(error: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return true;
  if (wanted instanceof Pattern) return wanted.matches(error);
  if (typeof wanted === 'function') return error instanceof (wanted as new () => unknown);
  const { message } = error as Error;
  return wanted instanceof RegExp ? wanted.test(message) : message.includes(wanted as string);
}

function throws(value: unknown, wanted: unknown): boolean {
  // Of a promise that was refused there is the error.
  if (typeof value !== 'function') return value instanceof Error && isError(value, wanted);
  try {
    value();
    return false;
  } catch (error) {
    return isError(error, wanted);
  }
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError(`${show(value)} is no number`);
  return value;
}

type Check = (value: never, wanted: never) => boolean;

const CHECKS = {
  toBe: (value, wanted) => Object.is(value, wanted),
  toBeUndefined: (value) => value === undefined,
  toBeDefined: (value) => value !== undefined,
  toBeNull: (value) => value === null,
  toEqual: (value, wanted) => isLike(value, wanted),
  toMatchObject: (value, wanted) => isLike(value, wanted, true),
  toMatch: (value: string, wanted: RegExp | string) =>
    wanted instanceof RegExp ? wanted.test(value) : value.includes(wanted),
  toContain: (value, wanted) => contains(value, wanted, Object.is),
  toContainEqual: (value, wanted) => contains(value, wanted, isLike),
  toHaveLength: (value: ArrayLike<unknown>, wanted) => numberOf(value.length) === wanted,
  toHaveProperty: (value: object, wanted: string) => wanted in value,
  toBeGreaterThan: (value, wanted) => numberOf(value) > numberOf(wanted),
  toBeGreaterThanOrEqual: (value, wanted) => numberOf(value) >= numberOf(wanted),
  toBeLessThan: (value, wanted) => numberOf(value) < numberOf(wanted),
  toBeLessThanOrEqual: (value, wanted) => numberOf(value) <= numberOf(wanted),
  toThrow: throws,
  toSatisfy: (value, wanted: (value: unknown) => boolean) => wanted(value),
} satisfies Readonly<Record<string, Check>>;

type Matchers<R> = Record<keyof typeof CHECKS, (wanted?: unknown) => R>;

/** The same checks of a value that `give` brings, once or until it is as wanted. */
function matchers<R>(each: (check: (value: unknown, wanted: unknown) => boolean, name: string, wanted: unknown) => R) {
  const made = Object.entries(CHECKS).map(([name, check]) => [
    name,
    (wanted?: unknown) => each(check as (value: unknown, wanted: unknown) => boolean, name, wanted),
  ]);
  return Object.fromEntries(made) as unknown as Matchers<R>;
}

const show = (value: unknown) => inspect(value, { depth: 8, breakLength: 120, maxStringLength: 4_000 });

function confirm(holds: boolean, isWanted: boolean, name: string, value: unknown, wanted: unknown): void {
  if (holds === isWanted) return;
  const what = wanted === undefined ? '' : ` ${show(wanted)}`;
  assert.fail(`expected ${show(value)} ${isWanted ? '' : 'not '}${name}${what}`);
}

const now = (value: unknown, isWanted: boolean) =>
  matchers((check, name, wanted) => confirm(check(value, wanted), isWanted, name, value, wanted));

const later = (give: () => Promise<unknown>, isWanted: boolean) =>
  matchers(async (check, name, wanted) => {
    const value = await give();
    confirm(check(value, wanted), isWanted, name, value, wanted);
  });

const polled = (look: () => unknown, isWanted: boolean) =>
  matchers(async (check, name, wanted) => {
    const end = performance.now() + POLL_MS;
    for (;;) {
      const value = await look();
      const holds = check(value, wanted);
      if (holds === isWanted || performance.now() >= end) return confirm(holds, isWanted, name, value, wanted);
      await pause(50);
    }
  });

const both = <R>(make: (isWanted: boolean) => Matchers<R>) => Object.assign(make(true), { not: make(false) });

function expectations(value: unknown) {
  const refusal = () =>
    (value as Promise<unknown>).then(
      (result) => assert.fail(`was to be refused, and gave ${show(result)}`),
      (error: unknown) => error,
    );
  return {
    ...both((isWanted) => now(value, isWanted)),
    rejects: both((isWanted) => later(refusal, isWanted)),
    resolves: both((isWanted) => later(async () => value, isWanted)),
  };
}

const patterns = {
  any: (kind: unknown) => new Pattern('any', (value) => isKind(value, kind)),
  anything: () => new Pattern('anything', (value) => value !== undefined && value !== null),
  arrayContaining: (wanted: readonly unknown[]) =>
    new Pattern(
      `array containing ${show(wanted)}`,
      (value) => Array.isArray(value) && wanted.every((each) => contains(value, each, isLike)),
    ),
  objectContaining: (wanted: object) =>
    new Pattern(
      `object containing ${show(wanted)}`,
      (value) =>
        typeof value === 'object' &&
        value !== null &&
        Object.entries(wanted).every(([name, each]) => isLike((value as Record<string, unknown>)[name], each)),
    ),
  stringContaining: (text: string) =>
    new Pattern(`text with ${show(text)}`, (value) => typeof value === 'string' && value.includes(text)),
  stringMatching: (wanted: RegExp | string) =>
    new Pattern(`text like ${show(wanted)}`, (value) => typeof value === 'string' && new RegExp(wanted).test(value)),
};

export const expect = Object.assign(expectations, patterns, {
  poll: (look: () => unknown) => both((isWanted) => polled(look, isWanted)),
});
