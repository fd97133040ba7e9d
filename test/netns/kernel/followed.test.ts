/** Containers are followed by the id that the host has for them, and an id is given again when its container has ended. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KernelMonitor } from '../../../src/adapters/kernel/monitor.ts';
import type { KernelChange } from '../../../src/core/kernel-change.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';

let lab: Lab;
let host: Host;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
});
afterAll(() => lab?.close());

/** This thread hears nothing meanwhile. */
function now(script: string): string {
  const [tool, ...args] = host.enter(['sh', '-ec', script]);
  return execFileSync(tool!, args, { encoding: 'utf8' });
}

const isOf = (name: string) => (change: KernelChange) =>
  change.kind === 'container' && change.path === `/run/netns/${name}`;

it('one that has the id of one that has just ended is heard', async () => {
  await host.container('c1');
  await host.container('c2');
  now('ip netns set c1 7');
  const monitor = new KernelMonitor({ hostPid: host.pid });
  const quit = new AbortController();
  const heard: KernelChange[] = [];
  const ended = (async () => {
    for await (const change of monitor.changes(quit.signal)) heard.push(change);
  })();
  await until('to be heard', () => heard.length > 0);
  monitor.follow([{ nsid: 7, path: '/run/netns/c1' }]);
  now('ip netns delete c1; until ip netns set c2 7 2>&-; do :; done');
  monitor.follow([{ nsid: 7, path: '/run/netns/c2' }]);
  await until('the end of the first', () => heard.some(isOf('c1')));
  heard.length = 0;
  await host.must(['ip', '-netns', 'c2', 'link', 'add', 'later', 'type', 'bridge']);
  await until('a change inside of the second', () => heard.some(isOf('c2')));
  expect(heard.filter(isOf('c1'))).toEqual([]);
  quit.abort();
  await ended;
  await host.deleteContainer('c2');
});
