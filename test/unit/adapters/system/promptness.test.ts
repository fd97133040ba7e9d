import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const PATH = fileURLToPath(new URL('../../../../src/adapters/system/promptness.ts', import.meta.url));
const SCRIPT = `
  const { existsSync, readdirSync, readFileSync } = await import('node:fs');
  const { Worker } = await import('node:worker_threads');
  const { bePrompt } = await import(${JSON.stringify(PATH)});
  bePrompt();
  const later = new Worker('setInterval(() => undefined, 1000)', { eval: true });
  later.once('online', () => {
    const threads = readdirSync('/proc/self/task').map((thread) => '/proc/self/task/' + thread);
    const niceness = threads.map((thread) => readFileSync(thread + '/stat', 'utf8').split(') ')[1].split(' ')[16]);
    const find = (file, pattern) => existsSync(file) && pattern.exec(readFileSync(file, 'utf8'))?.[1];
    const slices = threads.map((thread) => find(thread + '/sched', /^se.slice *: *(\\d+)/m));
    const session = find('/proc/self/autogroup', /nice (-?\\d+)/);
    console.log(JSON.stringify({ niceness, slices, session }));
    process.exit();
  });`;
const NODE = [process.execPath, '--experimental-strip-types', '--input-type=module', '-e', SCRIPT];

interface Told {
  readonly niceness: readonly string[];
  /** Nanoseconds; none where the kernel does not tell. */
  readonly slices: readonly (string | false | null)[];
  /** Of the session; false where the kernel schedules none. */
  readonly session: string | false;
}

function tell(...prefix: readonly string[]): Told {
  const [program = '', ...args] = [...prefix, ...NODE];
  return JSON.parse(execFileSync(program, args, { encoding: 'utf8', env: { ...process.env, NODE_NO_WARNINGS: '1' } }));
}

/** Root in a container may lack that. */
function mayBeNice(): boolean {
  const before = getPriority();
  try {
    setPriority(before - 1);
    setPriority(before);
    return true;
  } catch {
    return false;
  }
}

test.runIf(mayBeNice())('each thread of the process goes before others, and those that it makes later', () => {
  const { niceness, slices, session } = tell('setsid', '--wait');
  expect(niceness.length).toBeGreaterThan(4);
  expect(new Set(niceness)).toEqual(new Set(['-5']));
  // What Linux 6.12 and later know.
  if (slices[0]) expect(new Set(slices)).toEqual(new Set(['100000']));
  if (session !== false) expect(session).toBe('-5');
});

test.runIf(mayBeNice())('who is with it in a session is left alone', () => {
  // Not every kernel has sessions of their own.
  const own = () => (existsSync('/proc/self/autogroup') ? readFileSync('/proc/self/autogroup', 'utf8') : undefined);
  const before = own();
  expect(tell().niceness[0]).toBe('-5');
  expect(own()).toBe(before);
});

test('it goes on without, where it may not', () => {
  const isRoot = process.getuid?.() === 0;
  const { niceness } = isRoot ? tell('setpriv', '--bounding-set=-sys_nice', '--inh-caps=-sys_nice') : tell();
  expect(new Set(niceness)).not.toContain('-5');
});
