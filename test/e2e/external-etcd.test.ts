import { describe, expect, test } from 'vitest';
import { formCluster, untilFlawless } from '../lab/cluster.ts';
import { EtcdServer, etcdPid } from '../lab/etcd.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

describe('an etcd of one’s own behind mutual TLS', () => {
  let etcd: EtcdServer;
  const lab = useLab({
    hosts: 2,
    prepare: async (made) => {
      etcd = await EtcdServer.start(await made.addHost('store', 250), { tls: true });
    },
  });

  test('is refused when it cannot be authenticated', async () => {
    const one = lab().host(1);
    const answer = await one.overlayd('init', '--advertise-addr', one.address, '--etcd', etcd.url);
    expect(answer.code).toBe(1);
    expect(answer.stderr).toMatch(/^overlayd: .*etcd/m);
    expect((await one.json('status')).State).toBe('waiting');
  });

  test('is refused when nobody listens there', async () => {
    const one = lab().host(1);
    const answer = await one.overlayd('init', '--advertise-addr', one.address, '--etcd', 'http://10.77.0.2:2379');
    expect(answer.code).toBe(1);
    expect(answer.stderr).toMatch(/10\.77\.0\.2:2379/);
    expect((await one.json('status')).State).toBe('waiting');
  });

  test('carries a cluster; joining hosts get the access with their admission', async () => {
    await formCluster(lab().hosts, etcd.initArguments);
    for (const host of lab().hosts) {
      const { Store } = await host.json('status');
      expect(Store).toMatchObject({ Reachable: true, Bundled: false, Endpoints: [etcd.url] });
      expect(await etcdPid(host)).toBe('');
    }
    const records = await etcd.ctl.records();
    expect([...records.keys()]).toContain('cluster');
  });

  test('holds no second cluster', async () => {
    const other = await lab().addHost('h9', 9);
    await other.agent.start();
    const answer = await other.overlayd('init', '--advertise-addr', other.address, ...etcd.initArguments);
    expect(answer.code).toBe(1);
    expect(answer.stderr).toMatch(/etcd holds cluster [0-9a-f]+ already/);
  });
});

describe('an etcd of one’s own', () => {
  let etcd: EtcdServer;
  const lab = useLab({
    hosts: 2,
    prepare: async (made) => {
      etcd = await EtcdServer.start(await made.addHost('store', 250), { tls: true });
      await formCluster(made.hosts, etcd.initArguments);
    },
  });

  test('can go away and come back under traffic', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await one.mustOverlayd('network', 'create', 'web');
    await attach(one, 'c1', 'web', '--name', 'api');
    await attach(two, 'c2', 'web');
    await untilReaches(two, 'c2', 'api');
    await etcd.kill();
    await until('the agents to notice', async () => (await one.json('status')).Store.Reachable === false);
    await untilReaches(two, 'c2', 'api');
    await etcd.start();
    await untilFlawless(one);
    await attach(one, 'c3', 'web', '--name', 'late');
    await untilReaches(two, 'c2', 'late');
  });
});
