/** What may stand under the name of a network's namespace, and what stays of one: with the real kernel and tools. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type PlannedOp, TUNNEL } from '../../../src/core/host-state.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { openKernel } from './kernel-host.ts';
import { Station } from './station.ts';

let lab: Lab;
let host: Host;
let station: Station;
let web: NetworkRecord;
let api: NetworkRecord;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
});
afterAll(() => lab?.close());

beforeEach(async () => {
  station = new Station(host);
  station.world.addNode('h1', host.address);
  web = station.world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  api = station.world.addNetwork('api', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });
  for (const name of ['c1', 'c2']) await host.container(name);
});

afterEach(async () => {
  for (const id of [...station.world.local.keys()]) station.world.remove(id);
  await station.reconciler.converge(web.id).catch(() => undefined);
  await station.reconciler.converge(api.id).catch(() => undefined);
  await station.stop();
  for (const name of ['c1', 'c2']) await host.deleteContainer(name);
});

const linksOf = (namespace: string) => host.must(['ip', '-brief', '-netns', namespace, 'link', 'show']);
const sh = (script: string) => host.must(['sh', '-ec', script]);

it.each([
  ['an empty file', 'touch /run/netns/ovl-4096'],
  ['a namespace of another kind', 'touch /run/netns/ovl-4096; mount --bind /proc/self/ns/uts /run/netns/ovl-4096'],
  ['a link that leads nowhere', 'ln -s /run/netns/nowhere /run/netns/ovl-4096'],
])('%s stands in nobody’s way', async (_, script) => {
  await sh(`${script}; touch /run/netns/ovl-4711`);
  station.start();
  await station.attach(api, '10.0.1.2', 'c1');
  await station.attach(web, '10.0.0.2', 'c2');
  expect(await linksOf('ovl-4096')).toContain(TUNNEL);
  await until('the name that nobody wants to go', async () => !(await sh('ls /run/netns')).includes('ovl-4711'));
  expect(station.reconciler.status().problems).toEqual([]);
});

it('a namespace of somebody else is left alone, and named', async () => {
  for (const name of ['ovl-4096', 'ovl-4711']) {
    await host.must(['ip', 'netns', 'add', name]);
    await host.must(['ip', '-netns', name, 'link', 'add', 'theirs', 'type', 'bridge']);
  }
  station.start();
  await station.attach(api, '10.0.1.2', 'c1');
  await expect(station.attach(web, '10.0.0.2', 'c2')).rejects.toThrow(/ovl-4096 is somebody else's.*theirs/);
  for (const name of ['ovl-4096', 'ovl-4711']) expect(await linksOf(name)).toContain('theirs');
  expect(await linksOf('ovl-4096')).not.toContain(TUNNEL);
  expect(station.reconciler.status().problems).toEqual([expect.stringMatching(/^network web: .*theirs/)]);
  for (const name of ['ovl-4096', 'ovl-4711']) await host.must(['ip', 'netns', 'del', name]);
});

it('a directory is not removed; the network says so and the others go on', async () => {
  await sh('mkdir /run/netns/ovl-4096');
  station.start();
  await expect(station.attach(web, '10.0.0.2', 'c2')).rejects.toThrow(/ovl-4096.*operation on a directory/);
  await station.attach(api, '10.0.1.2', 'c1');
  await sh('rmdir /run/netns/ovl-4096');
  await until('the network to be made', async () => station.reconciler.status().problems.length === 0);
  expect(await linksOf('ovl-4096')).toContain(TUNNEL);
});

it('a process that stays in a removed namespace does not keep the network from coming back, nor from being watched', async () => {
  station.start();
  for (let round = 0; round < 3; round++) {
    await station.attach(web, '10.0.0.2', 'c1');
    const left = host.spawn(['ip', 'netns', 'exec', 'ovl-4096', 'sleep', '60']);
    await until('the process to be inside', async () => (await host.must(['ip', 'netns', 'pids', 'ovl-4096'])) !== '');
    for (const id of [...station.world.local.keys()]) station.world.remove(id);
    await station.reconciler.converge(web.id);
    expect(await sh('ls /run/netns')).not.toContain('ovl-4096');
    expect(left.child.exitCode).toBeNull();
  }
  const endpoint = await station.attach(web, '10.0.0.2', 'c1');
  await host.must(['ip', '-netns', 'ovl-4096', 'link', 'del', `e${endpoint.record.id.slice(0, 12)}`]);
  await until('the port to be back', async () =>
    (await linksOf('ovl-4096')).includes(`e${endpoint.record.id.slice(0, 12)}`),
  );
});

it('a row that is gone already does not hide that the others were not removed', async () => {
  station.start();
  station.world.addNode('h2', '10.77.0.2');
  await station.attach(web, '10.0.0.2', 'c1');
  for (const ip of ['10.0.0.9', '10.0.0.10']) station.world.addRemote(web, 'h2', ip);
  await station.reconciler.converge(web.id);
  await station.stop();
  const at = 'ovl-4096';
  const ops = ['10.0.0.99', '10.0.0.9', '10.0.0.10'].map((address): PlannedOp => {
    const neighbour = { link: TUNNEL, address, mac: '02:42:0a:00:00:09' };
    return { op: { kind: 'delete-neighbour', at, neighbour }, reason: 'remove', network: at, endpointId: undefined };
  });
  const { kernel } = openKernel(host);
  const { writes, failures } = await kernel.apply({ stages: [{ essential: false, ops }], gone: [] });
  const rows = await host.must(['ip', '-netns', at, 'neighbour', 'show', 'nud', 'permanent']);
  const left = ops.filter(({ op }) => op.kind === 'delete-neighbour' && rows.includes(`${op.neighbour.address} `));
  expect(failures.map(({ planned }) => planned)).toEqual(expect.arrayContaining(left));
  expect(writes).toBe(ops.length - failures.length);
  station.start();
});
