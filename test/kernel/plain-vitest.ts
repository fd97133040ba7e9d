/** As much of vitest as contract suites use: see `plain.ts`. Strict where it is not sure: what it does not know is missing. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

type Task = () => unknown;

interface Suite {
  readonly name: string;
  readonly parent: Suite | undefined;
  readonly tests: { readonly name: string; readonly run: Task }[];
  readonly suites: Suite[];
  readonly hooks: Record<'beforeAll' | 'afterAll' | 'beforeEach' | 'afterEach', Task[]>;
}

const newSuite = (name: string, parent?: Suite): Suite => ({
  ...{ name, parent, tests: [], suites: [] },
  hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] },
});
const root = newSuite('');
let current = root;
const POLL_MS = 120_000;

export function describe(name: string, define: () => void): void {
  const suite = newSuite(name, current);
  current.suites.push(suite);
  current = suite;
  define();
  current = suite.parent!;
}
describe.skip = (name: string): void => console.log(`- ${name}`);

export function it(name: string, run: Task): void {
  current.tests.push({ name, run });
}
export { it as test };

export const beforeAll = (task: Task) => void current.hooks.beforeAll.push(task);
export const afterAll = (task: Task) => void current.hooks.afterAll.push(task);
export const beforeEach = (task: Task) => void current.hooks.beforeEach.push(task);
export const afterEach = (task: Task) => void current.hooks.afterEach.push(task);

// ------------------------------------------------------------ expectations

class Matcher {
  readonly matches: (value: unknown) => boolean;
  constructor(matches: (value: unknown) => boolean) {
    this.matches = matches;
  }
}

/** `part`: properties that are not wanted do not matter. */
function isLike(value: unknown, wanted: unknown, part: boolean): boolean {
  if (wanted instanceof Matcher) return wanted.matches(value);
  if (typeof wanted !== 'object' || wanted === null || typeof value !== 'object' || value === null)
    return Object.is(value, wanted);
  if (Array.isArray(wanted) || Array.isArray(value)) {
    if (!Array.isArray(wanted) || !Array.isArray(value) || wanted.length !== value.length) return false;
    return wanted.every((each, at) => isLike(value[at], each, part));
  }
  if (wanted instanceof Set || wanted instanceof Map) {
    const [a, b] = [[...(value as Set<unknown>)], [...wanted]];
    return value.constructor === wanted.constructor && isLike(a.sort(), b.sort(), part);
  }
  const [has, wants] = [value as Record<string, unknown>, wanted as Record<string, unknown>];
  const names = part ? Object.keys(wants) : [...new Set([...Object.keys(has), ...Object.keys(wants)])];
  return names.every((name) => isLike(has[name], wants[name], part));
}

function expectations(value: unknown, isWanted = true) {
  const check = (holds: boolean, what: string, wanted: unknown) => {
    if (holds === isWanted) return;
    assert.fail(`${JSON.stringify(value)} ${isWanted ? 'is' : 'is not'} to ${what} ${JSON.stringify(wanted)}`);
  };
  return {
    toBe: (wanted: unknown) => check(Object.is(value, wanted), 'be', wanted),
    toEqual: (wanted: unknown) => check(isLike(value, wanted, false), 'equal', wanted),
    toMatchObject: (wanted: unknown) => check(isLike(value, wanted, true), 'match', wanted),
    toMatch: (wanted: RegExp) => check(wanted.test(value as string), 'match', wanted.source),
    toBeGreaterThan: (wanted: number) => check((value as number) > wanted, 'be greater than', wanted),
  };
}

export const expect = Object.assign((value: unknown) => ({ ...expectations(value), not: expectations(value, false) }), {
  any: (kind: unknown) =>
    new Matcher((value) => (kind === Number ? typeof value === 'number' : typeof value === 'string')),
  stringContaining: (text: string) => new Matcher((value) => typeof value === 'string' && value.includes(text)),
  poll: (look: () => Promise<unknown>) => ({
    toMatchObject: async (wanted: unknown) => {
      const end = performance.now() + POLL_MS;
      for (;;) {
        const value = await look();
        if (isLike(value, wanted, true)) return;
        if (performance.now() >= end) return expectations(value).toMatchObject(wanted);
        await pause(50);
      }
    },
  }),
});

// ------------------------------------------------------------ the run

export async function run(): Promise<{ readonly passed: number; readonly failed: number }> {
  const count = { passed: 0, failed: 0 };
  const attempt = async (name: string, tasks: readonly Task[]): Promise<boolean> => {
    const begun = performance.now();
    try {
      for (const task of tasks) await task();
      console.log(`✓ ${name} ${Math.round(performance.now() - begun)} ms`);
      return true;
    } catch (error) {
      console.log(`× ${name} ${Math.round(performance.now() - begun)} ms\n`, error);
      return false;
    }
  };
  const runSuite = async (suite: Suite): Promise<void> => {
    if (!(await attempt(`${suite.name}: begin`, suite.hooks.beforeAll))) {
      count.failed += suite.tests.length;
      return;
    }
    for (const { name, run } of suite.tests) {
      const isDone = await attempt(name, [...suite.hooks.beforeEach, run]);
      const isCleared = await attempt(`${name}: clear`, suite.hooks.afterEach);
      count[isDone && isCleared ? 'passed' : 'failed'] += 1;
    }
    for (const each of suite.suites) await runSuite(each);
    if (!(await attempt(`${suite.name}: end`, suite.hooks.afterAll))) count.failed += 1;
  };
  await runSuite(root);
  return count;
}
