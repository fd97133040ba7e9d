/** Two of three hosts that keep the store are lost for good, as far as anybody knows. */
import { expect, test } from 'vitest';
import { formCluster } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 4 });

interface Report {
  readonly Members: { NodeName: string; Role: string }[];
}
const votersOf = async (host: Host) =>
  ((await host.json('store', 'status')) as Report).Members.filter(({ Role }) => Role !== 'learner').map(
    ({ NodeName }) => NodeName,
  );

test('the one that is left goes on alone, others take their places, and those that come back follow', async () => {
  const [one, two, three, four] = [lab().host(1), lab().host(2), lab().host(3), lab().host(4)];
  await formCluster(lab().hosts);
  await until('three to keep the store', async () => (await votersOf(one)).length === 3);
  const [kept, ...lost] = [one, two, three];
  await one.mustOverlayd('network', 'create', 'web');
  await attach(kept!, 'c1', 'web', '--name', 'a');
  const far = await attach(four, 'c4', 'web', '--name', 'd');
  await untilReaches(kept!, 'c1', 'd');
  const pinging = await startPinging(kept!, 'c1', far);
  for (const host of lost) await host.powerOff();
  await until('changes to be refused', async () => (await four.overlayd('network', 'create', 'x')).code !== 0);
  await kept!.mustOverlayd('store', 'restore', '--from-here', '--new-store');
  await until('the other host to go on', async () => (await four.overlayd('network', 'create', 'y')).code === 0);
  for (const host of lost) {
    await host.powerOn();
    await host.agent.start();
  }
  await until('three to keep the new store', async () => (await votersOf(four)).length === 3);
  for (const host of lost) {
    await until(`${host.name} to follow`, async () => {
      const networks = (await host.json('network', 'ls')) as { Name: string }[];
      return networks.some(({ Name }) => Name === 'y');
    });
  }
  await attach(two, 'c2', 'web', '--name', 'b');
  await untilReaches(two, 'c2', 'd');
  expect(await pinging.end()).toEqual([]);
});
