/** A namespace may go on without its name: the kernel tells nothing of that, and the agent hears of it all the same. */
import { expect, it } from 'vitest';
import { KernelMonitor } from '../../../src/adapters/kernel/monitor.ts';
import type { KernelChange } from '../../../src/core/kernel-change.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';
import { Station } from './station.ts';

const lab = useLab({ hosts: 1, agents: false });

it('the name of a network that goes is told, though something keeps the namespace alive', async () => {
  const host = lab().host(1);
  for (const name of ['ovl-4096', 'c1']) await host.must(['ip', 'netns', 'add', name]);
  const holder = host.spawn(['ip', 'netns', 'exec', 'ovl-4096', 'sh', '-c', 'echo in; exec sleep 1000']);
  await until('a process to be in it', () => holder.output === 'in\n');
  const quit = new AbortController();
  const heard: KernelChange[] = [];
  const ended = (async () => {
    const monitor = new KernelMonitor({ hostPid: host.pid, uplinks: async () => [] });
    for await (const change of monitor.changes(quit.signal)) heard.push(change);
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

it('a network whose name leads nowhere any more, of which nobody tells, is made anew', async () => {
  const host = lab().host(1);
  const station = new Station(host, { auditIntervalMs: 200 });
  station.world.addNode('h1', host.address);
  const web = station.world.addNetwork('web', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });
  await host.container('c2');
  station.start();
  await station.attach(web, '10.0.1.2', 'c2');
  await host.must(['sh', '-c', 'cd /; while umount -l /run/netns/ovl-4097; do :; done']);
  await until('the bridge to be there', async () => {
    const shown = await host.run(['ip', '-netns', 'ovl-4097', 'link', 'show', 'br0']);
    return shown.code === 0 && (await host.exec('c2', ['ping', '-q', '-c1', '-W1', '10.0.1.1'])).code === 0;
  });
  await until('nothing to be in the way', () => station.reconciler.status().problems.length === 0);
  await station.stop();
});
