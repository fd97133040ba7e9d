/** An engine that leaves the host's firewall alone. */
import { expect, test } from 'vitest';
import { pings, runContainer, startEngines, untilOffered, untilPings } from '../../lab/docker-network.ts';
import { INTERNET } from '../../lab/internet.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({
  hosts: 1,
  cluster: true,
  prepare: async (made) => {
    await startEngines(made.hosts, ['--iptables=false']);
    await made.host(1).mustOverlayd('network', 'create', 'web');
    await untilOffered(made.host(1), ['web']);
  },
});

test('containers that publish ports have a way out by the rule that status names', async () => {
  const host = lab().host(1);
  await runContainer(host, 'plain', '--network', 'web');
  await untilPings(host, 'plain', INTERNET);
  await runContainer(host, 'front', '--network', 'web', '-p', '8080:80');
  const problems = async () => ((await host.json('status')).Problems as string[]).join();
  const rule = await until(
    'the status to name the rule',
    async () => /`(iptables [^`]+ docker_gwbridge -j MASQUERADE)`/.exec(await problems())?.[1],
  );
  expect(await pings(host, 'front', INTERNET)).toBe(false);
  await host.must(rule.split(' '));
  await untilPings(host, 'front', INTERNET);
  await until('the status to be good again', async () => (await problems()) === '');
});
