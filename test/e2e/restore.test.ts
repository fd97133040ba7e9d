/** A cluster whose etcd is put back from a backup, as docs/operations.md says. */
import { expect, test } from 'vitest';
import { formCluster } from '../lab/cluster.ts';
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

test('what the backup lacks is claimed again, and what has no place in it stays up and is named', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await formCluster(lab().hosts, etcd.initArguments);
  await one.mustOverlayd('network', 'create', 'web');
  await attach(one, 'c1', 'web', '--name', 'a');
  const backup = await etcd.backUp();
  await attach(two, 'c2', 'web', '--name', 'b');
  await one.mustOverlayd('network', 'create', 'later');
  await attach(one, 'c3', 'later', '--name', 'x');
  const far = await attach(two, 'c4', 'later', '--name', 'y');
  await untilReaches(two, 'c2', 'a');
  await untilReaches(one, 'c3', far);

  for (const host of lab().hosts) await host.agent.stop();
  await etcd.restore(backup);
  for (const host of lab().hosts) await host.agent.start();

  for (const [host, endpoint] of [
    [one, 'x'],
    [two, 'y'],
  ] as const) {
    await until(`${host.name} to say so`, async () => {
      const problems = ((await host.json('status')).Problems as string[]).join();
      if (/restored from a backup/.test(problems) && problems.includes(`${endpoint} (network later)`)) return true;
      throw new Error(problems);
    });
  }
  await until('the endpoint that the backup lacks', async () => {
    const names = [...(await etcd.ctl.records())].filter(([key]) => key.startsWith('endpoints/'));
    return (
      names
        .map(([, value]) => JSON.parse(value).name)
        .sort()
        .join() === 'a,b'
    );
  });
  await untilReaches(two, 'c2', 'a');
  expect(await reaches(one, 'c3', far)).toBe(true);
  // The cluster goes on meanwhile.
  await attach(one, 'c5', 'web', '--name', 'new');
  await untilReaches(two, 'c2', 'new');
});
