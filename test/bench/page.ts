/** docs/benchmarks.md and its figures, from the results alone. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../lab/host.ts';
import { renderMarkdown } from './report.ts';
import { type ExperimentResult, type Results, rowsOf, verdict } from './results.ts';
import type { Column } from './row.ts';
import { median } from './statistics.ts';
import { type BarGroup, drawBars, drawLines, type Panel, renderFigure, type Series } from './svg.ts';

const PAGE = join(ROOT, 'docs/benchmarks.md');
const FIGURES = join(ROOT, 'docs/benchmarks');
const COMPARISON = '\n## Before and after\n';
const COLOUR: Readonly<Record<Column, number>> = { overlayd: 0, swarm: 1, floor: 2, before: 4 };

export function writePage(results: Results): void {
  mkdirSync(FIGURES, { recursive: true });
  for (const name of readdirSync(FIGURES)) if (name.endsWith('.svg')) rmSync(join(FIGURES, name));
  for (const experiment of results.experiments) {
    if (hasFigure(experiment)) writeFileSync(join(FIGURES, `${experiment.name}.svg`), drawFigure(experiment));
  }
  writeFileSync(PAGE, renderPage(results) + comparisonPart());
}

/** The comparison is the last part of the page; the other parts stay as they are. */
export function writeComparison(results: Results): void {
  const page = readFileSync(PAGE, 'utf8');
  writeFileSync(PAGE, page.slice(0, page.length - comparisonPart().length) + renderComparison(results));
}

function comparisonPart(): string {
  const page = readFileSync(PAGE, 'utf8');
  const start = page.indexOf(COMPARISON);
  return start === -1 ? '' : page.slice(start);
}

function hasFigure({ rows }: ExperimentResult): boolean {
  return rows.some(({ samples }) => Object.keys(samples).length > 0);
}

function drawFigure(experiment: ExperimentResult): string {
  const bars = groupsOf(experiment);
  return renderFigure([...(bars.length > 0 ? [drawBars(bars)] : []), ...curvesOf(experiment)]);
}

function groupsOf({ rows, sides }: ExperimentResult): readonly BarGroup[] {
  const single = rows.filter(({ curve }) => curve === undefined);
  return single.map(({ title, unit, better, samples }) => ({
    title: `${title}, ${unit} (${better} is better)`,
    bars: sides
      .filter(({ name }) => samples[name] !== undefined)
      .map(({ name, label, column }) => {
        const values = samples[name]!;
        const [low, high] = [Math.min(...values), Math.max(...values)];
        return { label, value: median(values), low, high, colour: COLOUR[column] };
      }),
  }));
}

/** A panel for each curve. */
function curvesOf({ rows, sides, xLabel = '' }: ExperimentResult): readonly Panel[] {
  const curves = Map.groupBy(rows, ({ curve }) => curve?.title);
  curves.delete(undefined);
  return [...curves].map(([title, points]) => {
    const { unit, better } = points[0]!;
    const series = sides.map(
      ({ name, label, column }): Series => ({
        label,
        colour: COLOUR[column],
        points: points.flatMap(({ curve, samples }) =>
          samples[name] === undefined ? [] : [[curve!.x, median(samples[name])] as const],
        ),
      }),
    );
    const drawn = series.filter((one) => one.points.length > 0);
    return drawLines(drawn, { xLabel, yLabel: `${title}, ${unit} (${better} is better)` });
  });
}

function factsOf({ machine, versions }: Results): string {
  return Object.entries({ ...machine, ...versions })
    .map(([name, value]) => `| ${name} | ${value} |`)
    .join('\n');
}

function howItWasRun({ command, date, quick, seconds }: Results): string {
  const roughly = quick ? '. **A quick run: rough figures.**' : '';
  return `\`${command}\`, ${date}, ${Math.round(seconds / 60)} minutes${roughly}`;
}

/** Rows with a word in capitals in their verdict. */
function worstOf(results: Results): string {
  const worst = results.experiments.flatMap((experiment) =>
    rowsOf(results, experiment)
      .filter((row) => /[A-Z]{4}/.test(verdict(experiment, row)))
      .map((row) => `- ${row.title} [${row.unit}]: ${verdict(experiment, row)}`),
  );
  return worst.length === 0 ? '' : `\nMissed or lost:\n\n${worst.join('\n')}\n`;
}

function renderPage(results: Results): string {
  const { experiments } = results;
  return `# Benchmarks

This page is made from measurements by \`npm run bench -- --docs\`.

overlayd and an overlay network of Docker Swarm are measured on the same hosts, with the same Docker engines, in the same
run, in turn: A B C, B C A, C A B and so on. One round before the others is not counted. A figure is the median of the
rounds. The hosts are network namespaces of one machine (see [testing](testing.md)) and share its processors: ratios
tell something, absolute figures little.

- **floor**: what the machine itself takes: the plain wire between the hosts, the bare calls. Each section says which.
- **x Swarm**, **x floor**: overlayd's median divided by theirs.
- **spread**: least and greatest ratio of a round, to Swarm if there is one, else to the floor; of overlayd alone, its
  least and greatest value.
- **goal**: what was set as good enough before anything was measured, and how much would be better still (stretch).
- **met**, **MISSED**; **LOST to Swarm** where Swarm's median is the better one, by however little.

## Results

${renderMarkdown(results)}
${worstOf(results)}
## How it was run

${howItWasRun(results)}

| | |
|---|---|
${factsOf(results)}

${experiments.map(section).join('\n')}`;
}

function renderComparison(results: Results): string {
  const failures = results.experiments.flatMap(({ title, error }) =>
    error === undefined ? [] : [`**${title} failed:** ${error.split('\n')[0]}`],
  );
  return `${COMPARISON}
Two revisions, each built from its own lockfile and each in a lab of its own like the other's, are measured in one run, in
turn: A B, B A and so on. "Before" is commit \`${results.before}\`, "after" this one. The ratio is of the medians, the
spread is of the rounds' ratios. Swarm and the floor are there where a goal refers to them. Rounds are fewer than above.

${renderMarkdown(results)}
${worstOf(results)}
${howItWasRun(results)}
${failures.map((failure) => `\n${failure}\n`).join('')}
| | |
|---|---|
${factsOf(results)}
${newIn(results)}`;
}

/** Methods of experiments that are on this part of the page alone. */
function newIn({ experiments }: Results): string {
  const page = readFileSync(PAGE, 'utf8');
  return experiments
    .filter(({ title }) => !page.slice(0, page.length - comparisonPart().length).includes(`\n## ${title}\n`))
    .map(({ title, method, name }) => `\n### ${title}\n\n${method}\n\n\`npm run bench -- ${name}\`\n`)
    .join('');
}

function section(experiment: ExperimentResult): string {
  const { name, title, method, error } = experiment;
  const figure = hasFigure(experiment) ? `\n![${title}](benchmarks/${name}.svg)\n` : '';
  const failure = error === undefined ? '' : `\n**It failed:** ${error.split('\n')[0]}\n`;
  return `## ${title}

${method}

\`npm run bench -- ${name}\`
${failure}${figure}`;
}
