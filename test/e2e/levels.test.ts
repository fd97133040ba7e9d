/** A cluster that has gone on to a level which the agents of its hosts do not speak. */
import { describe, expect, test } from 'vitest';
import { SPOKEN_LEVELS } from '../../src/core/levels.ts';
import { formCluster, untilReady } from '../lab/cluster.ts';
import { Etcdctl, EtcdServer, etcdPid } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import { attach, reaches, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const KEY = '/overlayd/v2/cluster';
const later = (record: string) =>
  JSON.stringify({ ...JSON.parse(record), level: SPOKEN_LEVELS.to + 1, format: 'of another time' });

const REFUSAL = `which speaks levels ${SPOKEN_LEVELS.from} to ${SPOKEN_LEVELS.to}; the cluster speaks level ${SPOKEN_LEVELS.to + 1}`;

const untilRefused = (hosts: readonly Host[]) =>
  Promise.all(
    hosts.map((host) =>
      until(`${host.name} to say so`, async () => {
        const { Problems } = await host.json('status');
        if (Problems.join().includes(REFUSAL)) return true;
        throw new Error(Problems.join());
      }),
    ),
  );

describe('with an etcd of one’s own', () => {
  let etcd: EtcdServer;
  const lab = useLab({
    hosts: 2,
    prepare: async (made) => {
      etcd = await EtcdServer.start(await made.addHost('store', 250));
    },
  });

  test('an agent that does not speak the level says so, leaves traffic and names alone, and goes on when it can', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await formCluster(lab().hosts, etcd.initArguments);
    await one.mustOverlayd('network', 'create', 'web');
    await attach(one, 'c1', 'web', '--name', 'a');
    await attach(two, 'c2', 'web', '--name', 'b');
    await untilReaches(two, 'c2', 'a');
    expect((await one.json('status')).Level).toBe(SPOKEN_LEVELS.to);
    const record = (await etcd.ctl.records()).get('cluster')!;

    await etcd.ctl.run('put', KEY, later(record));
    await untilRefused(lab().hosts);
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
    await untilRefused(lab().hosts);
    expect(await reaches(two, 'c2', 'a')).toBe(true);
    await etcd.start();
    expect(await etcd.ctl.run('get', KEY, '-w', 'fields')).toContain(/"ModRevision" : \d+/.exec(revision)![0]);

    await etcd.ctl.run('put', KEY, record);
    await untilReady(lab().hosts);
    await attach(one, 'c3', 'web', '--name', 'late');
    await untilReaches(two, 'c2', 'late');
  });
});

describe('with the bundled etcd', () => {
  const lab = useLab({ hosts: 2, cluster: true });

  test('its host runs it all the same, as the others need it', async () => {
    const one = lab().host(1);
    const ctl = Etcdctl.ofBundled(one);
    const record = (await ctl.records()).get('cluster')!;
    const pidOf = () => etcdPid(one);
    const untilAnother = (before: string) =>
      until('another etcd to serve', async () => {
        const pid = await pidOf();
        return pid !== '' && pid !== before && (await ctl.run('get', KEY)) !== '';
      });
    await ctl.run('put', KEY, later(record));
    await untilRefused(lab().hosts);
    const first = await pidOf();
    await one.must(['kill', '-9', first]);
    await untilAnother(first);
    // As after a power cut.
    await one.agent.kill();
    const second = await pidOf();
    await one.must(['kill', '-9', second]);
    await one.agent.start();
    await untilAnother(second);
    await untilRefused(lab().hosts);
    await ctl.run('put', KEY, record);
    await untilReady(lab().hosts);
  });
});
