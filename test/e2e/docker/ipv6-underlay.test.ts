import { expect, test } from 'vitest';
import { runContainer, startEngines, untilOffered } from '../../lab/docker-network.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({
  hosts: 2,
  family: 6,
  cluster: true,
  prepare: async (made) => {
    await startEngines(made.hosts);
    await made.host(1).mustOverlayd('network', 'create', '--ipv6', 'web');
    await untilOffered(made.host(2), ['web']);
  },
});

test('containers of engines on hosts of IPv6 alone reach each other by name and by both families', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await runContainer(one, 'api', '--network', 'web');
  await runContainer(two, 'client', '--network', 'web');
  for (const family of ['-4', '-6']) {
    for (const [host, from, to] of [
      [two, 'client', 'api'],
      [one, 'api', 'client'],
    ] as const) {
      await until(`${to} to answer ping ${family}`, async () => {
        const { code } = await host.engine.docker('exec', from, 'ping', family, '-c', '1', '-W', '1', to);
        return code === 0;
      });
    }
  }
  expect((await two.engine.docker('exec', 'client', 'ping', '-c', '1', '-W', '1', '2001:db8:5100::1')).code).toBe(0);
  expect(await two.must(['ip', '-n', 'ovl-4096', '-d', 'link', 'show', 'vx0'])).toContain('local 2001:db8:77::2');
});
