import { expect, test } from 'vitest';
import { untilReady } from '../../lab/cluster.ts';
import { endpointNames, runContainer, startEngines, untilOffered, untilPings } from '../../lab/docker-network.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async (made) => {
    await startEngines(made.hosts);
    await made.host(1).mustOverlayd('network', 'create', 'web');
    await untilOffered(made.host(2), ['web']);
  },
});

test('containers of an engine whose host gets another address keep their networks, and new ones are started', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await runContainer(one, 'api', '--network', 'web');
  await runContainer(two, 'client', '--network', 'web');
  await untilPings(two, 'client', 'api');
  const networks = await two.engine.mustDocker('network', 'ls', '--no-trunc', '--format', '{{.ID}} {{.Name}}');
  const lines = ['address delete 10.77.0.2/24 dev eth0', 'address add 10.77.0.22/24 dev eth0'];
  await two.must(['ip', '-batch', '-'], { input: [...lines, 'route replace default via 10.77.0.254'].join('\n') });
  await until('the new address to be known', async () => {
    return (await one.json('node', 'inspect', 'h2'))[0].AdvertiseAddress === '10.77.0.22';
  });
  await untilReady(lab().hosts);
  await untilPings(two, 'client', 'api');
  await runContainer(two, 'late', '--network', 'web');
  await untilPings(one, 'api', 'late');
  expect(await endpointNames(one)).toEqual(['api', 'client', 'late']);
  expect(await two.engine.mustDocker('network', 'ls', '--no-trunc', '--format', '{{.ID}} {{.Name}}')).toBe(networks);
});
