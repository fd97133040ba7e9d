import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('every thread of the process is in the background, and those that it makes later', () => {
  const path = new URL('../../../../src/adapters/system/background.ts', import.meta.url).pathname;
  const script = `
    const { readdirSync, readFileSync } = await import('node:fs');
    const { Worker } = await import('node:worker_threads');
    const { stayInBackground } = await import(${JSON.stringify(path)});
    stayInBackground();
    const later = new Worker('setInterval(() => undefined, 1000)', { eval: true });
    later.once('online', () => {
      const niceness = (thread) =>
        readFileSync('/proc/self/task/' + thread + '/stat', 'utf8').split(') ')[1].split(' ')[16];
      console.log(JSON.stringify(readdirSync('/proc/self/task').map(niceness)));
      process.exit();
    });`;
  const told: string[] = JSON.parse(
    execFileSync(process.execPath, ['--experimental-strip-types', '--input-type=module', '-e', script], {
      encoding: 'utf8',
    }),
  );
  expect(told.length).toBeGreaterThan(4);
  expect(new Set(told)).toEqual(new Set(['10']));
});
