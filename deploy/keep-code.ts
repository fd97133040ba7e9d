/**
 * Runs a bundle with the arguments that follow and keeps the code that V8 makes meanwhile:
 * `node deploy/keep-code.ts FILE.bundle.cjs ARGUMENT…`. How the run itself ends does not matter.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { loadBundle } from './compiled-bundle.ts';

// The program sees itself where it would be without this.
process.argv.splice(1, 1);
const path = process.argv[1]!;
const bundle = loadBundle(path);
process.once('exit', () => {
  const code = path.replace(/cjs$/, 'code');
  const temporary = `${code}.${process.pid}`;
  writeFileSync(temporary, bundle.encodeCode());
  renameSync(temporary, code);
  process.exitCode = 0;
});
try {
  bundle.run();
} catch {
  // As far as it came is as far as code is kept.
}
