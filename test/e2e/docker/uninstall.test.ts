import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { offeredNetworks, startEngines, untilOffered } from '../../lab/docker-network.ts';
import { IMAGE } from '../../lab/image.ts';
import { observeKernel, overlayNamespaces } from '../../lab/observation.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true, prepare: ({ hosts }) => startEngines(hosts) });

test('uninstall takes the networks out of Docker without an agent, and Docker goes on', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await one.mustOverlayd('network', 'create', '--attachable', 'web');
  await untilOffered(two, ['web']);
  await two.engine.mustDocker('run', '-d', '--name', 'shop', '--network', 'web', IMAGE, 'sleep', '600');
  await two.agent.stop();
  await two.must(['mkdir', '-p', '/etc/overlayd']);
  writeFileSync(two.path('/etc/overlayd/overlayd.toml'), `data_dir = "${two.dataDirectory}"\n`);
  await two.mustOverlayd('uninstall', '--yes', '--keep-data');
  expect(await overlayNamespaces(two)).toEqual([]);
  expect(await offeredNetworks(two)).toEqual([]);
  expect(await observeKernel(two)).not.toMatch(/overlayd/i);
  await two.engine.mustDocker('rm', '-f', 'shop');
  await two.engine.mustDocker('run', '--rm', '--network', 'bridge', IMAGE, 'true');
});
