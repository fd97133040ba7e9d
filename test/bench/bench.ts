/**
 * `npm run bench`: measures overlayd beside Docker Swarm's overlay networks on the same engines, in the same lab and in
 * turn, and prints a table. See docs/benchmarks.md.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkOut } from '../lab/checkouts.ts';
import { ROOT } from '../lab/host.ts';
import { sweepOldLabs } from '../lab/lab.ts';
import { experiments, groups } from './experiments.ts';
import { writeComparison, writePage } from './page.ts';
import { renderTable } from './report.ts';
import { type ExperimentResult, machine, type Results, versions } from './results.ts';
import type { Experiment } from './row.ts';
import { Runner } from './runner.ts';

const USAGE = `usage: npm run bench [-- [NAME…] [--before REV] [--quick] [--json FILE] [--docs] [--from FILE]… | --list]

  NAME         an experiment, one of its rows, or a group of experiments; without, all of them
  --before REV a comparison: builds that revision and measures it in turn with this checkout, in a lab like its own;
               what is not overlayd is measured where a goal refers to it
  --quick      fewer and shorter rounds: shows that everything works, figures are rough
  --json FILE  where all samples are written, after each experiment; default: bench-results/<date>.json
  --docs       write docs/benchmarks.md and its figures; of a comparison, its table there
  --from FILE  take the results of earlier runs and measure nothing; of several, the later ones count
  --list       list groups, experiments and rows`;

/** Of a machine that does nothing else, in `uptime`'s terms. */
const QUIET_LOAD = 0.5;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      docs: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      json: { type: 'string' },
      before: { type: 'string' },
      from: { type: 'string', multiple: true, default: [] },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const wanted = choose(positionals);
  if (values.list) {
    for (const [name, members] of Object.entries(groups)) console.log(`${name}: ${members.join(' ')}`);
    for (const { name, title, rows } of wanted) {
      console.log(`${name}: ${title}`);
      for (const row of rows) console.log(`    ${row.name}: ${row.title} [${row.unit}]`);
    }
    return 0;
  }
  if (values.docs && positionals.length > 0 && values.before === undefined) {
    throw new Error('the page is of all experiments; see --from');
  }
  const { quick, json, before } = values;
  const command = commandOf(positionals, quick, before);
  const results = values.from.length > 0 ? merge(values.from) : await measure(wanted, { quick, json, before, command });
  console.log(`\n${renderTable(results)}`);
  if (values.docs) (results.before === undefined ? writePage : writeComparison)(results);
  return results.experiments.some(({ error }) => error !== undefined) ? 1 : 0;
}

function choose(names: readonly string[]): readonly Experiment[] {
  const isNamed = (experiment: Experiment, name: string) =>
    experiment.name === name ||
    groups[name]?.includes(experiment.name) === true ||
    experiment.rows.some((row) => row.name === name);
  const unknown = names.filter((name) => !experiments.some((experiment) => isNamed(experiment, name)));
  if (unknown.length > 0) throw new Error(`no experiment, row or group ${unknown.join(', ')}; see --list`);
  return experiments.filter((experiment) => names.length === 0 || names.some((name) => isNamed(experiment, name)));
}

/** As one would run it again; where the results went does not matter. */
function commandOf(names: readonly string[], quick: boolean, before: string | undefined): string {
  const given = [...names, ...(before === undefined ? [] : ['--before', before]), ...(quick ? ['--quick'] : [])];
  return ['npm run bench', ...(given.length > 0 ? ['--', ...given] : [])].join(' ');
}

interface MeasureOptions {
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly before: string | undefined;
  readonly command: string;
}

/** Measures, and leaves the results in a file, also those of a run that is interrupted. */
async function measure(wanted: readonly Experiment[], options: MeasureOptions): Promise<Results> {
  if (process.getuid?.() !== 0) throw new Error('it makes network namespaces and has to be run as root');
  let runner: Runner | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      console.error('\nbench: interrupted, cleaning up');
      void Promise.resolve(runner?.interrupt()).finally(() => process.exit(130));
    });
  }
  sweepOldLabs();
  const [load = 0] = loadavg();
  if (load > QUIET_LOAD) {
    console.error(`bench: something else keeps this machine busy (load ${load.toFixed(1)}): figures will be wrong`);
  }
  const before = options.before === undefined ? undefined : await checkOut(options.before);
  try {
    runner = new Runner({ quick: options.quick, before: before?.directory });
    return await measureWith(runner, wanted, options, before?.commit);
  } finally {
    before?.remove();
  }
}

async function measureWith(
  runner: Runner,
  wanted: readonly Experiment[],
  { quick, json, command }: MeasureOptions,
  before: string | undefined,
): Promise<Results> {
  const start = performance.now();
  const facts = {
    date: new Date().toISOString(),
    command,
    quick,
    machine: machine(),
    versions: await versions(),
    ...(before === undefined ? {} : { before }),
  };
  const file = json ?? join(ROOT, 'bench-results', `${facts.date.replace(/\W/g, '-')}.json`);
  mkdirSync(dirname(file), { recursive: true });
  console.log(`samples: ${file}`);
  const resultsOf = (done: readonly ExperimentResult[]): Results => ({
    ...facts,
    seconds: Math.round((performance.now() - start) / 1000),
    experiments: done,
  });
  const done = await runner.run(wanted, (some) => writeFileSync(file, `${JSON.stringify(resultsOf(some), null, 1)}\n`));
  return resultsOf(done);
}

/** The last file's facts; each experiment from the last file that has it. */
function merge(files: readonly string[]): Results {
  const all = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Results);
  if (new Set(all.map(({ before }) => before)).size > 1) throw new Error('these files are not of one kind of run');
  const byName = new Map<string, ExperimentResult>();
  for (const { experiments: list } of all) for (const experiment of list) byName.set(experiment.name, experiment);
  const commands = [...new Set(all.map(({ command }) => command))].join('; ');
  const seconds = all.reduce((sum, results) => sum + results.seconds, 0);
  return { ...all.at(-1)!, command: commands, seconds, experiments: [...byName.values()] };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}
