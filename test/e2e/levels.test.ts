/** A cluster that has gone on to a level which the agents of its hosts do not speak. */
import { expect, test } from 'vitest';
import { formCluster, untilReady } from '../lab/cluster.ts';
import { EtcdServer } from '../lab/etcd.ts';
import { attach, reaches, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let etcd: EtcdServer;
const lab = useLab({
  hosts: 2,
  prepare: async (made) => {
    etcd = await EtcdServer.start(await made.addHost('store', 250));
  },
});

const KEY = '/overlayd/v1/cluster';

test('an agent that does not speak the level says so, leaves traffic and names alone, and goes on when it can', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await formCluster(lab().hosts, etcd.initArguments);
  await one.mustOverlayd('network', 'create', 'web');
  await attach(one, 'c1', 'web', '--name', 'a');
  await attach(two, 'c2', 'web', '--name', 'b');
  await untilReaches(two, 'c2', 'a');
  expect((await one.json('status')).Level).toBe(1);
  const record = (await etcd.ctl.records()).get('cluster')!;
  const untilRefused = () =>
    Promise.all(
      lab().hosts.map((host) =>
        until(`${host.name} to say so`, async () => {
          const { Problems } = await host.json('status');
          if (Problems.join().includes('which speaks level 1; the cluster speaks level 2')) return true;
          throw new Error(Problems.join());
        }),
      ),
    );

  await etcd.ctl.run('put', KEY, JSON.stringify({ ...JSON.parse(record), level: 2, format: 'of another time' }));
  await untilRefused();
  const revision = await etcd.ctl.run('get', KEY, '-w', 'fields');
  expect(await reaches(two, 'c2', 'a')).toBe(true);
  expect(await reaches(one, 'c1', 'b')).toBe(true);
  const refused = await one.overlayd('network', 'create', 'more');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('install a newer overlayd here');

  // A start finds the same, also where etcd cannot be asked.
  await etcd.kill();
  await two.agent.kill();
  await two.agent.start();
  await untilRefused();
  expect(await reaches(two, 'c2', 'a')).toBe(true);
  await etcd.start();
  expect(await etcd.ctl.run('get', KEY, '-w', 'fields')).toContain(/"ModRevision" : \d+/.exec(revision)![0]);

  await etcd.ctl.run('put', KEY, record);
  await untilReady(lab().hosts);
  await attach(one, 'c3', 'web', '--name', 'late');
  await untilReaches(two, 'c2', 'late');
});
