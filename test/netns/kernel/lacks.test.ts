/** What this machine's kernel lacks for overlayd is nothing; and finding out leaves nothing. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { findLacks } from '../../../src/adapters/kernel/lacks.ts';
import { freeNftables } from '../../../src/adapters/native/libnftables.ts';

const LACKS = fileURLToPath(new URL('../../../src/adapters/kernel/lacks.ts', import.meta.url));
const PROBING = `
const { findLacks } = await import(${JSON.stringify(LACKS)});
for (;;) { findLacks(); process.stdout.write('.'); }`;

const ownLinks = () => execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' });
const names = () =>
  existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith('ovl')) : [];

it('lacks nothing, and has no link, name or descriptor more afterwards', () => {
  const [links, named] = [ownLinks(), names()];
  expect(findLacks()).toEqual([]);
  freeNftables();
  const descriptors = readdirSync('/proc/self/fd').length;
  for (let time = 0; time < 5; time++) expect(findLacks()).toEqual([]);
  freeNftables();
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(descriptors);
  expect([ownLinks(), names()]).toEqual([links, named]);
});

it('leaves nothing when it is killed', async () => {
  const [links, named] = [ownLinks(), names()];
  const probing = spawn(process.execPath, ['--input-type=module', '-e', PROBING], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(probing.stdout, 'data');
  probing.kill('SIGKILL');
  await once(probing, 'exit');
  expect([ownLinks(), names()]).toEqual([links, named]);
});
