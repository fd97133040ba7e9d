/**
 * `npm run sim -- --nodes 1000 --loss 1 --seeds 20`: how gossip and failure detection behave as clusters grow, over virtual
 * time, from a seed. See docs/scale.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { historiesOf, runHistories } from './histories.ts';
import { renderGoals, renderTable, type Settings, type Size, writePage } from './report.ts';
import { measureAll } from './seed-runs.ts';

const USAGE = `usage: npm run sim [-- [--nodes N] [--loss PERCENT] [--seeds N] [--starved PERCENT] [--workers N]
                        [--json FILE] [--docs] | --histories N [--first N] [--workers N]]

  --nodes N          the largest cluster, 2 to 2000; sizes from 10 upward are simulated (default: 100)
  --loss PERCENT     messages that are lost, 0 to 50 (default: 1)
  --seeds N          runs of each size, 1 to 1000 (default: 3); the first seed is 1; more are so many random histories, of all kinds
  --starved PERCENT  hosts that get little CPU for a while, 0 to 50 (default: 5)
  --workers N        runs at a time, 1 to 64 (default: one for each processor); the figures do not depend on it
  --json FILE        where everything measured is written
  --docs             write docs/scale.md and its figures
  --histories N      instead, N random histories of each kind, 1 to 1000000: of a cluster, of one whose etcd goes back in time, of
                     its store's members, of container engines, of members behind NAT; prints the seeds of those that fail (docs/testing.md)
  --first N          their first seed (default: 1)`;

/** A thousand runs of gossip tell of its slowest hundredth what there is to tell. */
const MOST_SEEDS = 1_000;
const SIZES = [10, 30, 50, 100, 300, 1_000];

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= least && value <= most) return value;
  throw new Error(`--${name}: "${text}" is not a number from ${least} to ${most}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '100' },
      loss: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '3' },
      starved: { type: 'string', default: '5' },
      workers: { type: 'string', default: String(Math.min(64, availableParallelism())) },
      json: { type: 'string' },
      docs: { type: 'boolean', default: false },
      histories: { type: 'string' },
      first: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const workers = Math.trunc(numberOf('workers', values.workers, 1, 64));
  const histories = values.histories ?? historiesOf(values.seeds, MOST_SEEDS);
  if (histories !== undefined) {
    const count = Math.trunc(numberOf('histories', String(histories), 1, 1_000_000));
    process.stderr.write(`${count} random histories of each kind\n`);
    return await runHistories({ count, first: Math.trunc(numberOf('first', values.first, 1, 1e9)), workers });
  }
  const settings: Settings = {
    nodes: Math.trunc(numberOf('nodes', values.nodes, 2, 2_000)),
    loss: numberOf('loss', values.loss, 0, 50) / 100,
    seeds: Math.trunc(numberOf('seeds', values.seeds, 1, MOST_SEEDS)),
    starved: numberOf('starved', values.starved, 0, 50) / 100,
  };
  const sizes = await measureSizes(settings, workers);
  console.log(`${renderTable(sizes, settings)}\n\n${renderGoals(sizes)}`);
  if (values.json !== undefined) {
    mkdirSync(dirname(values.json), { recursive: true });
    writeFileSync(values.json, `${JSON.stringify({ settings, sizes }, null, 1)}\n`);
  }
  if (values.docs) writePage(sizes, settings);
  return 0;
}

async function measureSizes({ nodes: most, loss, seeds, starved }: Settings, workers: number): Promise<Size[]> {
  const sizes = [...new Set([...SIZES.filter((size) => size < most), most])];
  const runs = sizes.flatMap((nodes) =>
    Array.from({ length: seeds }, (_, i) => ({ seed: i + 1, nodes, loss, starved })),
  );
  const startedAt = Date.now();
  let done = 0;
  const measurements = await measureAll(runs, workers, (index) => {
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    const { nodes, seed } = runs[index]!;
    process.stderr.write(`${++done} of ${runs.length} runs after ${seconds} s: ${nodes} nodes, seed ${seed}\n`);
  });
  return sizes.map((nodes) => ({ nodes, runs: measurements.filter((_, index) => runs[index]!.nodes === nodes) }));
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(`sim: ${(error as Error).message}\n\n${USAGE}`);
  return 2;
});
