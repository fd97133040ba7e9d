/** What this machine's kernel lacks for overlayd is nothing; and finding out leaves nothing. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { findLacks } from '../../../src/adapters/kernel/lacks.ts';
import { freeNftables } from '../../../src/adapters/native/libnftables.ts';

const LACKS = fileURLToPath(new URL('../../../src/adapters/kernel/lacks.ts', import.meta.url));
const PROBING = `
const { findLacks } = await import(${JSON.stringify(LACKS)});
for (;;) { findLacks({ ipv6: true }); process.stdout.write('.'); }`;

const ownLinks = () => execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' });
const names = () =>
  existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith('ovl')) : [];

it('lacks nothing, and has no link, name or descriptor more afterwards', () => {
  const [links, named] = [ownLinks(), names()];
  expect(findLacks({ ipv6: true })).toEqual([]);
  freeNftables();
  const descriptors = readdirSync('/proc/self/fd').length;
  for (let time = 0; time < 5; time++) expect(findLacks({ ipv6: true })).toEqual([]);
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

const MONITOR = fileURLToPath(new URL('../../../src/adapters/kernel/monitor.ts', import.meta.url));
const LISTENING = `
const { findLacks } = await import(${JSON.stringify(LACKS)});
const { KernelMonitor } = await import(${JSON.stringify(MONITOR)});
const heard = [];
for await (const { kind } of new KernelMonitor({ uplinks: async () => [] }).changes(new AbortController().signal)) {
  heard.push(kind);
  if (heard.length === Number(process.argv[1])) break;
}
console.log(JSON.stringify([findLacks({ ipv6: true }).map(({ need }) => need), heard]));
process.exit(0);`;

/** A process of a unit with that bounding set, in a namespace of its own. */
function listen(capabilities: string, events: number): unknown {
  const bounds = capabilities.toLowerCase().replace(/cap_/g, '+').split(' ').join();
  const bounded = ['setpriv', `--bounding-set=-all,${bounds}`, '--inh-caps=-all', process.execPath];
  const argv = ['--net', ...bounded, '--input-type=module', '-e', LISTENING, String(events)];
  return JSON.parse(execFileSync('unshare', argv, { encoding: 'utf8' }));
}

const UNIT = readFileSync(new URL('../../../deploy/overlayd.service', import.meta.url), 'utf8');
const GIVEN = /^CapabilityBoundingSet=(.*)$/m.exec(UNIT)![1]!;

it('has all that it needs from the unit', () => {
  expect(listen(GIVEN, 1)).toEqual([[], ['all']]);
});

it('looks by itself where a unit of before does not let it hear, and says so', () => {
  expect(listen(GIVEN.replace('CAP_NET_BROADCAST ', ''), 2)).toEqual([['broadcast'], ['all', 'all']]);
});
