/** A namespace may go on without its name: the kernel tells nothing of that, and the agent hears of it all the same. */
import { expect, it } from 'vitest';
import { KernelMonitor } from '../../../src/adapters/kernel/monitor.ts';
import type { KernelChange } from '../../../src/core/kernel-change.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 1, agents: false });

it('the name of a network that goes is told, though something keeps the namespace alive', async () => {
  const host = lab().host(1);
  for (const name of ['ovl-4096', 'c1']) await host.must(['ip', 'netns', 'add', name]);
  const holder = host.spawn(['ip', 'netns', 'exec', 'ovl-4096', 'sh', '-c', 'echo in; exec sleep 1000']);
  await until('a process to be in it', () => holder.output === 'in\n');
  const quit = new AbortController();
  const heard: KernelChange[] = [];
  const ended = (async () => {
    for await (const change of new KernelMonitor({ hostPid: host.pid }).changes(quit.signal)) heard.push(change);
  })();
  await until('to be heard', () => heard.length > 0);
  heard.length = 0;
  for (const name of ['c1', 'ovl-4096']) await host.must(['ip', 'netns', 'delete', name]);
  await until('the name to be told', () => heard.length > 0);
  expect(heard).toEqual([{ kind: 'network', namespace: 'ovl-4096' }]);
  quit.abort();
  await ended;
  await holder.kill('SIGKILL');
});
