/**
 * `npm test`, or `npm test -- unit netns/kernel e2e/story.test.ts`: runs the suites, or folders and files of them, one
 * after the other and ends with one line, `N passed, N failed`. See docs/testing.md.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sweepOldLabs } from './lab/lab.ts';
import { couldNotRun, failure, NOTHING, sum, summary, type Tally, tallyOf } from './tally.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** `check` is format, lint, types and generated code; the others are the folders of the same name. */
const SUITES = ['check', 'unit', 'sim', 'page', 'netns', 'e2e', 'room'];
const NEEDS_ROOT = ['netns', 'e2e', 'room', 'tools'];
/** Run where they are named: other releases of container tools, see test/tools.sh. */
const NAMED_ONLY = ['tools'];

let interrupted = false;
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    interrupted = true;
  });
}

const env: NodeJS.ProcessEnv = { ...process.env };
if (process.stdout.isTTY !== true) {
  delete env.FORCE_COLOR;
  env.NO_COLOR = '1';
}

/** Runs with this Node, its output as ours; resolves to the exit code. */
function node(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function runCheck(): Promise<Tally> {
  const code = await node(['deploy/check.ts']);
  return code === 0 ? { ...NOTHING, passed: 1 } : failure(`check: ended with ${code}`);
}

/** Runs a suite, or the folders and files of it. */
async function runVitest(suite: string, chosen: readonly string[], directory: string): Promise<Tally> {
  if (NEEDS_ROOT.includes(suite) && process.getuid?.() !== 0) {
    return couldNotRun(suite, 'it makes network namespaces and has to be run as root');
  }
  const file = join(directory, `${suite}.json`);
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const code = await node([vitest, 'run', '--project', suite, ...reporters, ...chosen]);
  return tallyOf(suite, { code, report: existsSync(file) ? readFileSync(file, 'utf8') : undefined, root: ROOT });
}

/** A file may be named without what they all end with. */
function wholeName(name: string): string {
  const file = `${name}.test.ts`;
  return name.includes('/') && existsSync(join(ROOT, 'test', file)) ? file : name;
}

async function main(named: readonly string[]): Promise<number> {
  const wanted = named.map(wholeName);
  const suiteOf = (name: string) => name.split('/', 1)[0] as string;
  const unknown = wanted.filter(
    (name) =>
      ![...SUITES, ...NAMED_ONLY].includes(suiteOf(name)) ||
      (name.includes('/') && !existsSync(join(ROOT, 'test', name))),
  );
  if (unknown.length > 0) {
    console.error(
      `no suite ${unknown.join(', ')}; there are ${[...SUITES, ...NAMED_ONLY].join(', ')}, and what is in their folders of test/`,
    );
    return 2;
  }
  const directory = mkdtempSync(join(tmpdir(), 'overlayd-test-'));
  let total = NOTHING;
  sweepOldLabs();
  try {
    for (const suite of [...SUITES, ...(wanted.length > 0 ? NAMED_ONLY : [])]) {
      const ofIt = wanted.filter((name) => suiteOf(name) === suite);
      if (interrupted) break;
      if (wanted.length > 0 && ofIt.length === 0) continue;
      const chosen = ofIt.includes(suite) ? [] : ofIt.map((name) => join('test', name));
      const start = performance.now();
      console.log(`\n== ${suite}`);
      const tally = suite === 'check' ? await runCheck() : await runVitest(suite, chosen, directory);
      total = sum(total, tally);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      console.log(`== ${suite}: ${summary(tally)} in ${seconds} s`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  if (interrupted) total = sum(total, failure('interrupted'));
  else if (total.passed + total.failed === 0) total = sum(total, failure('nothing ran'));
  console.log(
    total.failures.length === 0 ? '' : `\nfailed:\n${total.failures.map((line) => `  ${line}`).join('\n')}\n`,
  );
  console.log(summary(total));
  return total.failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  console.log(`\n${summary(failure('it broke'))}`);
  return 1;
});
