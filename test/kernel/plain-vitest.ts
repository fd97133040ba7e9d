/**
 * As much of vitest as suites use that run on another kernel: see `bundle.ts`. Strict where it is not sure: what it does not
 * know is missing. Hooks and tests have one limit, which ends only what hangs: limits that files set are for processors
 * that are not emulated.
 */
import { format } from 'node:util';

export { expect } from './plain-expect.ts';

type State = 'pass' | 'fail';
interface Context {
  readonly task: { readonly name: string; readonly result: { state: State } };
}
type Task = (context: Context) => unknown;

interface Test {
  readonly name: string;
  readonly run: Task;
}

interface Suite {
  readonly name: string;
  readonly parent: Suite | undefined;
  /** In their order. */
  readonly members: (Test | Suite)[];
  readonly hooks: Readonly<Record<'beforeAll' | 'afterAll' | 'beforeEach' | 'afterEach', Task[]>>;
}

const LIMIT_MS = 1_800_000;

const newSuite = (name: string, parent?: Suite): Suite => ({
  ...{ name, parent, members: [] },
  hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] },
});
const root = newSuite('');
let current = root;

/** `['a %s', 'of $key']` with one row of a table. */
function titleOf(name: string, row: unknown): string {
  const values = Array.isArray(row) ? row : [row];
  const wanted = (name.match(/%[sdijoO]/g) ?? []).length;
  const named = typeof row === 'object' && row !== null && !Array.isArray(row) ? (row as Record<string, unknown>) : {};
  return format(name, ...values.slice(0, wanted)).replace(/\$(\w+)/g, (all, key: string) =>
    key in named ? String(named[key]) : all,
  );
}

const each =
  <D extends (...args: never[]) => unknown>(define: (name: string, run: () => unknown) => void) =>
  (rows: readonly unknown[]) =>
  (name: string, run: D): void => {
    for (const row of rows) {
      const args = (Array.isArray(row) ? row : [row]) as never[];
      define(titleOf(name, row), () => run(...args));
    }
  };

function defineSuite(name: string, define: () => unknown): void {
  const suite = newSuite(name, current);
  current.members.push(suite);
  current = suite;
  define();
  current = suite.parent!;
}

function defineTest(name: string, run: Task): void {
  current.members.push({ name, run });
}

export const describe = Object.assign(defineSuite, {
  each: each(defineSuite),
  skip: (name: string): void => console.log(`- ${name}`),
});
export const it = Object.assign(defineTest, { each: each(defineTest) });
export { it as test };

export const beforeAll = (task: Task) => void current.hooks.beforeAll.push(task);
export const afterAll = (task: Task) => void current.hooks.afterAll.unshift(task);
export const beforeEach = (task: Task) => void current.hooks.beforeEach.push(task);
export const afterEach = (task: Task) => void current.hooks.afterEach.unshift(task);

// ------------------------------------------------------------ the run

const count = { passed: 0, failed: 0 };

/** Says how it went; a step that failed ends what it belongs to. */
async function attempt(name: string, tasks: readonly Task[], context: Context, isTold = true): Promise<boolean> {
  const begun = performance.now();
  const took = () => `${Math.round(performance.now() - begun)} ms`;
  try {
    for (const task of tasks) await limited(task, context);
    if (isTold) console.log(`✓ ${name} ${took()}`);
    return true;
  } catch (error) {
    console.log(`× ${name} ${took()}\n`, error);
    return false;
  }
}

async function limited(task: Task, context: Context): Promise<void> {
  const { promise: end, reject } = Promise.withResolvers<never>();
  const limit = setTimeout(() => reject(new Error(`did not end within ${LIMIT_MS / 60_000} minutes`)), LIMIT_MS);
  try {
    await Promise.race([task(context), end]);
  } finally {
    clearTimeout(limit);
  }
}

const newContext = (name: string): Context => ({ task: { name, result: { state: 'pass' } } });

function testsIn(suite: Suite): number {
  return suite.members.reduce((sum, each) => sum + ('run' in each ? 1 : testsIn(each)), 0);
}

/** Of the suites that it is in too: the outermost comes first before a test, and last after it. */
function hooksOf(suite: Suite | undefined, kind: 'beforeEach' | 'afterEach'): readonly Task[] {
  if (!suite) return [];
  const [own, outer] = [suite.hooks[kind], hooksOf(suite.parent, kind)];
  return kind === 'beforeEach' ? [...outer, ...own] : [...own, ...outer];
}

async function runTest({ name, run }: Test, suite: Suite): Promise<void> {
  const context = newContext(name);
  const isDone = await attempt(name, [...hooksOf(suite, 'beforeEach'), run], context);
  if (!isDone) context.task.result.state = 'fail';
  const isCleared = await attempt(`${name}: after it`, hooksOf(suite, 'afterEach'), context, false);
  count[isDone && isCleared ? 'passed' : 'failed'] += 1;
}

async function runSuite(suite: Suite): Promise<void> {
  const context = newContext(suite.name);
  if (suite !== root) console.log(suite.name);
  if (await attempt(`${suite.name}: before all`, suite.hooks.beforeAll, context, false)) {
    for (const member of suite.members) await ('run' in member ? runTest(member, suite) : runSuite(member));
  } else {
    count.failed += testsIn(suite);
  }
  if (!(await attempt(`${suite.name}: after all`, suite.hooks.afterAll, context, false))) count.failed += 1;
}

/** Ends the process: what a test that failed left behind keeps nobody. */
export async function runAll(): Promise<never> {
  await runSuite(root);
  console.log(`${count.passed} passed, ${count.failed} failed`);
  process.exit(count.failed === 0 && count.passed > 0 ? 0 : 1);
}
