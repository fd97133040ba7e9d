/**
 * `npm run faults`: what overlay networks really failed at, with real agents, a real etcd, the real kernel and traffic that runs;
 * prints what each scenario may cost and what it did. See docs/faults.md.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../lab/host.ts';
import { sweepOldLabs } from '../lab/lab.ts';
import type { Measured } from '../lab/measuring.ts';
import { type Outcome, renderOutcomes, renderScenarios, verdictOf } from './outcome.ts';
import type { Proof, Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

const USAGE = `usage: npm run faults [-- [NAME…] [--suite NAME]… [--minutes N] [--list] [--docs]]

  NAME         a scenario; without, all of them
  --suite NAME only tests of that suite (e2e, netns, sim, unit); can be repeated; default: all
  --minutes N  ends after so long; what has not run by then is missing (default: 90)
  --list       list the scenarios with their tests, and run nothing
  --docs       write the table of docs/faults.md, and run nothing

  npm run faults -- split etcd-away
  npm run faults -- --suite e2e`;

const PAGE = join(ROOT, 'docs/faults.md');
const BEGIN = '<!-- scenarios -->';
const END = '<!-- end -->';
/** Of a machine that does nothing else. */
const QUIET_LOAD = 0.5;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      suite: { type: 'string', multiple: true, default: [] },
      minutes: { type: 'string', default: '90' },
      list: { type: 'boolean', default: false },
      docs: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (values.docs) {
    writeFileSync(PAGE, pageOf(readFileSync(PAGE, 'utf8')));
    return 0;
  }
  const wanted = choose(positionals);
  if (values.list) {
    for (const scenario of wanted) list(scenario);
    return 0;
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes: "${values.minutes}" is not a number above 0`);
  if (process.getuid?.() !== 0) throw new Error('it makes network namespaces and has to be run as root');
  const [load = 0] = loadavg();
  if (load > QUIET_LOAD)
    console.error(`faults: something else keeps this machine busy (load ${load.toFixed(1)}): times will be too long`);
  sweepOldLabs();
  const isChosen = ({ suite }: Proof) => values.suite.length === 0 || values.suite.includes(suite);
  const outcomes = await run(wanted, isChosen, minutes * 60_000);
  console.log(`\n${renderOutcomes(outcomes)}`);
  return outcomes.every((outcome) => ['ok', 'not tested'].includes(verdictOf(outcome))) ? 0 : 1;
}

function choose(names: readonly string[]): readonly Scenario[] {
  const unknown = names.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
  if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}; \`npm run faults -- --list\` has them`);
  return names.length === 0 ? SCENARIOS : SCENARIOS.filter(({ name }) => names.includes(name));
}

function list({ limit, name, proofs, title, why }: Scenario): void {
  console.log(`${name}: ${title} [${limit}]`);
  for (const { file, suite, test } of proofs)
    console.log(`    ${suite}/${file}${test === undefined ? '' : `: ${test}…`}`);
  if (why !== undefined) console.log(`    ${why}`);
}

/** The page with the table as it is now. */
export function pageOf(page: string): string {
  const [head, rest = ''] = page.split(BEGIN);
  const tail = rest.slice(rest.indexOf(END));
  return `${head}${BEGIN}\n${renderScenarios(SCENARIOS)}\n${tail}`;
}

/** File by file, each once for all scenarios that want something of it. */
async function run(
  scenarios: readonly Scenario[],
  isChosen: (proof: Proof) => boolean,
  limitMs: number,
): Promise<readonly Outcome[]> {
  const end = performance.now() + limitMs;
  const directory = mkdtempSync(join(tmpdir(), 'overlayd-faults-'));
  const measurements = join(directory, 'measured');
  const proofs = scenarios.flatMap((scenario) => scenario.proofs.filter(isChosen));
  const files = Map.groupBy(proofs, ({ file, suite }) => `${suite}/${file}`);
  const results = new Map<string, readonly Result[]>();
  try {
    for (const [key, each] of files) {
      const leftMs = end - performance.now();
      if (leftMs <= 0 || interrupted) break;
      console.log(`\n== ${key}`);
      const report = join(directory, 'report.json');
      await runFile(each, { report, measurements, leftMs });
      if (existsSync(report)) results.set(key, resultsOf(report));
      else if (performance.now() < end) results.set(key, [{ name: key, passed: false }]);
      rmSync(report, { force: true });
    }
    const measured = existsSync(measurements)
      ? readFileSync(measurements, 'utf8')
          .trim()
          .split('\n')
          .map((line): Measured => JSON.parse(line))
      : [];
    return scenarios.map((scenario) => ({
      scenario,
      tests: testsOf(scenario.proofs.filter(isChosen), results),
      measured: measured.filter((each) => each.scenario === scenario.name),
    }));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Result {
  /** With those of the blocks around it. */
  readonly name: string;
  readonly passed: boolean;
}

function testsOf(proofs: readonly Proof[], results: ReadonlyMap<string, readonly Result[]>) {
  const own = proofs.flatMap(({ file, suite, test = '' }) =>
    (results.get(`${suite}/${file}`) ?? []).filter(({ name }) => name.includes(test) || name === `${suite}/${file}`),
  );
  return { passed: own.filter(({ passed }) => passed).length, failed: own.filter(({ passed }) => !passed).length };
}

interface RunOptions {
  readonly report: string;
  readonly measurements: string;
  readonly leftMs: number;
}

let interrupted = false;
let child: ReturnType<typeof spawn> | undefined;
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    interrupted = true;
    child?.kill('SIGTERM');
  });
}

/** Resolves when vitest has ended, by itself or since the time is up. */
function runFile(proofs: readonly Proof[], { report, measurements, leftMs }: RunOptions): Promise<void> {
  const [{ file, suite }] = proofs as [Proof];
  const tests = proofs.flatMap(({ test }) => (test === undefined ? [] : [test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')]));
  const chosen = tests.length === proofs.length ? ['-t', tests.join('|')] : [];
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const args = [vitest, 'run', '--project', suite, join('test', suite, file), ...chosen, ...reporters];
  return new Promise((resolve) => {
    const env = { ...process.env, FAULTS_REPORT: measurements };
    child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
    const timer = setTimeout(() => child?.kill('SIGTERM'), leftMs);
    child.once('error', () => resolve());
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** What vitest's JSON reporter writes, as much as is used here. A file that does not load, or whose hooks fail, has failed. */
function resultsOf(report: string): readonly Result[] {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    readonly testResults: readonly {
      readonly status: string;
      readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
    }[];
  };
  return testResults.flatMap(({ assertionResults, status }) => {
    const ran = assertionResults.filter((each) => each.status === 'passed' || each.status === 'failed');
    const results = ran.map((each) => ({ name: each.fullName, passed: each.status === 'passed' }));
    const isBroken = status === 'failed' && results.every(({ passed }) => passed);
    return isBroken
      ? [...results, ...assertionResults.map(({ fullName: name }) => ({ name, passed: false }))]
      : results;
  });
}

if (import.meta.main) {
  process.exitCode = await main().catch((error: unknown) => {
    console.error(`faults: ${(error as Error).message}\n\n${USAGE}`);
    return 2;
  });
}
