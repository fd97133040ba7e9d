/**
 * Runs the bundles that `bundle.ts` made, which are beside this one, a process each, one after the other. The last line is
 * `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

const directory = path.dirname(process.argv[1]!);
const total = { passed: 0, failed: 0 };
const failures: string[] = [];

/** Its output is ours; resolves to what its last line says. */
function run(file: string): Promise<RegExpExecArray | null> {
  return new Promise((resolve) => {
    const env = { ...process.env, TEST_KERNEL_WORKER: path.join(directory, 'kernel-worker.mjs') };
    const child = spawn(process.execPath, [path.join(directory, file)], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let end = '';
    child.stdout.setEncoding('utf8').on('data', (some: string) => {
      process.stdout.write(some);
      end = (end + some).slice(-200);
    });
    child.once('error', () => resolve(null));
    child.once('close', () => resolve(/^(\d+) passed, (\d+) failed\n$/m.exec(end)));
  });
}

for (const file of readdirSync(directory).sort()) {
  const name = /^\d+-(.*)\.mjs$/.exec(file)?.[1];
  if (name === undefined) continue;
  const begun = performance.now();
  console.log(`\n== ${name}`);
  const end = await run(file);
  const [passed, failed] = end === null ? [0, 1] : [Number(end[1]), Number(end[2])];
  if (failed > 0 || passed === 0) failures.push(end === null ? `${name}: ended before its tests did` : name);
  total.passed += passed;
  total.failed += failed;
  console.log(`== ${name}: in ${((performance.now() - begun) / 1_000).toFixed(0)} s`);
}
if (failures.length > 0) console.log(`\nfailed:\n${failures.map((line) => `  ${line}`).join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = failures.length === 0 && total.passed > 0 ? 0 : 1;
