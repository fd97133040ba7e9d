/** Containers are followed by the id that the host has for them, and an id is given again when its container has ended. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Uplink } from '../../../src/adapters/kernel/jobs.ts';
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
  const monitor = new KernelMonitor({ hostPid: host.pid, uplinks: async () => [] });
  const quit = new AbortController();
  const heard: KernelChange[] = [];
  const ended = (async () => {
    for await (const change of monitor.changes(quit.signal)) heard.push(change);
  })();
  await until('to be heard', () => heard.length > 0);
  await monitor.follow([{ nsid: 7, path: '/run/netns/c1' }]);
  now('ip netns delete c1; until ip netns set c2 7 2>&-; do :; done');
  await monitor.follow([{ nsid: 7, path: '/run/netns/c2' }]);
  await until('the end of the first', () => heard.some(isOf('c1')));
  heard.length = 0;
  await host.must(['ip', '-netns', 'c2', 'link', 'add', 'later', 'type', 'bridge']);
  await until('a change inside of the second', () => heard.some(isOf('c2')));
  expect(heard.filter(isOf('c1'))).toEqual([]);
  quit.abort();
  await ended;
  await host.deleteContainer('c2');
});

it('an uplink that gets another name while somebody looks for the uplinks is told, and nobody waits for that look', async () => {
  await host.must(['ip', 'link', 'add', 'ovl4096', 'type', 'veth', 'peer', 'name', 'peer']);
  const index = Number(await host.must(['cat', '/sys/class/net/ovl4096/ifindex']));
  const looked = Promise.withResolvers<readonly Uplink[]>();
  const monitor = new KernelMonitor({ hostPid: host.pid, uplinks: () => looked.promise });
  const quit = new AbortController();
  const heard: KernelChange[] = [];
  const ended = (async () => {
    for await (const change of monitor.changes(quit.signal)) heard.push(change);
  })();
  await until('to be heard', () => heard.some(({ kind }) => kind === 'all'));
  await host.must(['ip', 'link', 'set', 'ovl4096', 'name', 'other']);
  await until('the link', () => heard.some(({ kind }) => kind === 'underlay'));
  looked.resolve([{ index, name: 'ovl4096' }]);
  await until('its network', () =>
    heard.some((change) => change.kind === 'network' && change.namespace === 'ovl-4096'),
  );
  quit.abort();
  await ended;
});

it('uplinks that nobody could look for are looked for again', async () => {
  let asked = 0;
  const uplinks = async () => {
    asked += 1;
    if (asked === 1) throw new Error('not now');
    return [];
  };
  const monitor = new KernelMonitor({ hostPid: host.pid, uplinks });
  const quit = new AbortController();
  const ended = (async () => {
    for await (const _ of monitor.changes(quit.signal)) continue;
  })();
  await until('the second look', () => asked === 2);
  quit.abort();
  await ended;
});
