import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const MODULE = resolve(import.meta.dirname, '../../../../src/adapters/system/process-name.ts');

it('a process is called so by ps, with the arguments that it has', async () => {
  const program = `import { nameProcess } from '${MODULE}';
import { execFileSync } from 'node:child_process';
nameProcess('overlayd');
console.log(execFileSync('ps', ['-o', 'comm=,args=', '-p', String(process.pid)]).toString());`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', program]);
  expect(stdout).toMatch(/^overlayd +\S*node .*--input-type/);
});
