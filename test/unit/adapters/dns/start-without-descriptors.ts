/** Run with few file descriptors: starts a program while there are none left, and prints how that ended. */
import { openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProgram } from '../../../../src/adapters/dns/process/program.ts';

try {
  for (;;) openSync('/dev/null', 'r');
} catch {
  // None is left.
}
const program = startProgram({ nodePath: process.execPath, flags: [], programPath: '/nothing.cjs', arguments: [] });
await sleep(1);
console.log(program.ended());
