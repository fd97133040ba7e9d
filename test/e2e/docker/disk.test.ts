/** A host whose disk is full, or whose file is damaged, and what its agent still does; and `join` on a host with Docker. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formCluster, untilReady } from '../../lab/cluster.ts';
import {
  addressOf,
  endpointNames,
  runContainer,
  startEngines,
  untilLooksUp,
  untilPings,
} from '../../lab/docker-network.ts';
import { IMAGE } from '../../lab/image.ts';
import { attach, untilReaches } from '../../lab/network.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 2 });
const one = () => lab().host(1);
const two = () => lab().host(2);
const problems = async (): Promise<string> => (await two().json('status')).Problems.join();

/** Puts the directory on a disk of its own: one that has room enough, once it is not full, for nobody to be warned of it. */
const SMALL_DISK = `
mkdir -p "$0" /run/keep && cp -a "$0/." /run/keep && mount -t tmpfs -o size=96m,mode=700 tmpfs "$0" &&
cp -a /run/keep/. "$0" && rm -rf /run/keep
`;

const smallDisk = (directory: string) => two().must(['sh', '-c', SMALL_DISK, directory]);
const fill = (directory: string) => two().run(['sh', '-c', 'cat /dev/zero > "$0/fill"', directory]);
const empty = (directory: string) => two().must(['rm', join(directory, 'fill')]);

test('when join returns, the next line may be docker run on a network of the cluster', async () => {
  await startEngines(lab().hosts);
  // The other host's disk is to be too small for a copy of etcd's data.
  await formCluster([one()], ['--store-members', '1']);
  await one().mustOverlayd('network', 'create', 'web');
  await runContainer(one(), 'api', '--network', 'web');
  const token = (await one().mustOverlayd('token', 'create')).match(/overlayd (join .*)/)?.[1] ?? '';
  await two().mustOverlayd(...token.trim().split(/\s+/), '--advertise-addr', two().address);
  expect((await two().engine.docker('run', '-d', '--name', 'shop', '--network', 'web', IMAGE)).stderr).toBe('');
  await untilReady(lab().hosts);
  await untilPings(two(), 'shop', 'api');
});

test('an agent that starts on a full disk answers names and says what is wrong; nothing is lost', async () => {
  await attach(two(), 'c1', 'web', '--name', 'plain');
  await two().agent.stop();
  await smallDisk(two().dataDirectory);
  await fill(two().dataDirectory);
  await two().agent.start();
  await untilLooksUp(two(), 'shop', 'api', [await addressOf(one(), 'api')]);
  await runContainer(one(), 'late', '--network', 'web');
  await untilPings(two(), 'shop', 'late');
  await untilReaches(two(), 'c1', 'api');
  expect(await problems()).toContain('cannot be written');
  await two().must(['ip', 'netns', 'add', 'c2']);
  const refused = await two().overlayd('network', 'connect', 'web', 'netns:c2');
  expect([refused.code, refused.stderr]).toEqual([expect.any(Number), expect.stringContaining('is the disk full')]);
  expect(refused.code).not.toBe(0);
  await empty(two().dataDirectory);
  await until('the status to be good', async () => (await problems()) === '');
  await two().mustOverlayd('network', 'connect', 'web', 'netns:c2');
  await two().agent.kill();
  await two().agent.start();
  await untilReady(lab().hosts);
  expect(await endpointNames(one())).toEqual(['api', 'c2', 'late', 'plain', 'shop']);
  await two().mustOverlayd('network', 'disconnect', 'web', 'netns:c2');
});

test('a damaged state file costs no container its network or its name', async () => {
  const before = await one().json('endpoint', 'ls');
  await two().agent.kill();
  writeFileSync(join(two().dataDirectory, 'state.json'), '{"version":1,"bootId":');
  await two().agent.start();
  await untilReady(lab().hosts);
  await untilLooksUp(two(), 'shop', 'api', [await addressOf(one(), 'api')]);
  await untilPings(one(), 'api', 'shop');
  await untilReaches(two(), 'c1', 'api');
  expect(await one().json('endpoint', 'ls')).toEqual(before);
  expect((await two().json('status')).Reconcile.Repairs).toBe(0);
  await two().engine.mustDocker('rm', '-f', 'shop');
  await until('shop to be gone', async () => !(await endpointNames(one())).includes('shop'));
  await two().mustOverlayd('network', 'disconnect', 'web', 'plain');
  await until('plain to be gone', async () => (await endpointNames(one())).join() === 'api,late');
});
