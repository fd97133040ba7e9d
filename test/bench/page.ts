/** docs/benchmarks.md and its figures, from the results alone. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../lab/host.ts';
import { renderMarkdown } from './report.ts';
import { type ExperimentResult, type Results, verdict } from './results.ts';
import type { Column } from './row.ts';
import { median } from './statistics.ts';
import { type BarGroup, drawBars, drawLines, type Panel, renderFigure, type Series } from './svg.ts';

const PAGE = join(ROOT, 'docs/benchmarks.md');
const FIGURES = join(ROOT, 'docs/benchmarks');
const COLOUR: Readonly<Record<Column, number>> = { overlayd: 0, swarm: 1, floor: 2 };

export function writePage(results: Results): void {
  mkdirSync(FIGURES, { recursive: true });
  for (const name of readdirSync(FIGURES)) if (name.endsWith('.svg')) rmSync(join(FIGURES, name));
  for (const experiment of results.experiments) {
    if (hasFigure(experiment)) writeFileSync(join(FIGURES, `${experiment.name}.svg`), drawFigure(experiment));
  }
  writeFileSync(PAGE, renderPage(results));
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

function renderPage(results: Results): string {
  const { experiments, machine, versions, command, date, quick, seconds } = results;
  const facts = Object.entries({ ...machine, ...versions }).map(([name, value]) => `| ${name} | ${value} |`);
  const worst = experiments.flatMap((experiment) =>
    experiment.rows
      .filter((row) => /[A-Z]{4}/.test(verdict(experiment, row)))
      .map((row) => `- ${row.title} [${row.unit}]: ${verdict(experiment, row)}`),
  );
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

${renderMarkdown(experiments)}
${worst.length === 0 ? '' : `\nMissed or lost:\n\n${worst.join('\n')}\n`}
## How it was run

\`${command}\`, ${date}, ${Math.round(seconds / 60)} minutes${quick ? '. **A quick run: rough figures.**' : ''}

| | |
|---|---|
${facts.join('\n')}

${experiments.map(section).join('\n')}`;
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
