/** Everything that can be said about the sources without running them, at once: `npm run check`. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const BIN = path.join(ROOT, 'node_modules/.bin');

const checks: Record<string, () => Promise<string>> = {
  'format and lint': () => run('biome', ['check', '--error-on-warnings', '--max-diagnostics=50', '.']),
  types: () => run('tsc', ['-p', '.']),
  'types of the core': () => run('tsc', ['-p', 'src/core']),
  'types of the page': () => run('tsc', ['-p', 'src/page']),
  'protocol files': () => run('buf', ['lint']),
  'generated code': compareGenerated,
};

const results = await Promise.all(
  Object.entries(checks).map(async ([name, check]) => {
    const start = performance.now();
    const complaint = await check().catch((error: Error) => error.message);
    const seconds = ((performance.now() - start) / 1_000).toFixed(1);
    console.log(complaint === '' ? `ok      ${name} (${seconds} s)` : `FAILED  ${name} (${seconds} s)\n${complaint}`);
    return complaint === '';
  }),
);
process.exitCode = results.every((passed) => passed) ? 0 : 1;

/** What the program says when it fails; nothing when it does not. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const command = program === 'diff' ? program : path.join(BIN, program);
    const env = { ...process.env, PATH: `${BIN}:${process.env.PATH}` };
    const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    child.stderr.on('data', (data) => {
      output += data;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0 ? '' : output || `${program} ended with ${code}`));
  });
}

/** Generates anew, elsewhere, and compares with `src/gen`. */
async function compareGenerated(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'overlayd-gen-'));
  try {
    const template = await readFile(path.join(ROOT, 'buf.gen.yaml'), 'utf8');
    const own = path.join(directory, 'buf.gen.yaml');
    const generated = path.join(directory, 'gen');
    await writeFile(own, template.replace(/^( *out:).*$/m, `$1 ${generated}`));
    const complaint = await run('buf', ['generate', '--template', own]);
    if (complaint !== '') return complaint;
    const difference = await run('diff', ['-ru', 'src/gen', generated]);
    return difference === '' ? '' : `src/gen is not what proto/ says; run \`npm run generate\`\n${difference}`;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
