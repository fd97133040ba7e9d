/** Many random histories of each kind, some at a time: the tests that `npm test` runs a few seeds of. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const KINDS = ['chaos', 'restore-chaos', 'store-chaos', 'docker-chaos', 'nat-chaos'];
/** A run of vitest takes a second by itself. */
const AT_ONCE = 50;

export interface HistoriesOptions {
  /** Of each kind. */
  readonly count: number;
  /** Seed. */
  readonly first: number;
  readonly workers: number;
}

interface Chunk {
  readonly kind: string;
  readonly first: number;
  readonly count: number;
}

/** More seeds than anybody wants runs of gossip of are those of histories: how many of each kind, so that there are as many in all. */
export function historiesOf(seeds: string, mostRuns: number): number | undefined {
  const count = Number(seeds);
  return count > mostRuns && Number.isFinite(count) ? Math.ceil(count / KINDS.length) : undefined;
}

/** Returns the exit code: 1 when one of them failed. Each that fails is told at once, with how to replay it. */
export async function runHistories({ count, first, workers }: HistoriesOptions): Promise<number> {
  const chunks: Chunk[] = [];
  for (let from = 0; from < count; from += AT_ONCE)
    for (const kind of KINDS) chunks.push({ kind, first: first + from, count: Math.min(AT_ONCE, count - from) });
  const startedAt = Date.now();
  let [done, failed] = [0, 0];
  const work = async () => {
    for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) {
      failed += await runChunk(chunk);
      done += chunk.count;
      const seconds = Math.round((Date.now() - startedAt) / 1_000);
      process.stderr.write(`${done} of ${count * KINDS.length} histories after ${seconds} s, ${failed} failed\n`);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  console.log(`${done} histories, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

/** Returns how many failed. */
async function runChunk({ kind, first, count }: Chunk): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'overlayd-histories-'));
  const report = join(directory, 'report.json');
  const file = `test/sim/${kind}.test.ts`;
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', '--project', 'sim', file, '--reporter=json', `--outputFile=${report}`];
  const env = { ...process.env, SIM_FIRST: String(first), SIM_SEEDS: String(count) };
  try {
    await new Promise<void>((resolve) => {
      const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: 'ignore' });
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    const failures = failuresIn(report);
    for (const { name, message } of failures) {
      const seed = /seed (\d+)/.exec(name)?.[1];
      console.log(`${kind}, ${name}\n    ${message}\n    SIM_SEED=${seed} npx vitest run --project sim ${file}`);
    }
    return failures.length;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What vitest's JSON reporter writes, as much as is used here. */
function failuresIn(report: string): readonly { readonly name: string; readonly message: string }[] {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    readonly testResults: readonly {
      readonly assertionResults: readonly {
        readonly title: string;
        readonly status: string;
        readonly failureMessages?: readonly string[];
      }[];
    }[];
  };
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'failed')
    .map(({ failureMessages: [text = ''] = [], title: name }) => ({ name, message: text.split('\n')[0]! }));
}
