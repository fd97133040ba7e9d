/** All hosts that keep the store are lost for good: another host begins it anew, and each of the others is told by a token. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formCluster, joinArguments } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 4 });

const identityOf = (host: Host): { readonly nodeId: string; readonly caCertificate: string } =>
  JSON.parse(readFileSync(join(host.dataDirectory, 'identity.json'), 'utf8'));
const changes = async (host: Host, name: string) => (await host.overlayd('network', 'create', name)).code === 0;

test('a plain member goes on with another CA, the others when they are told, and no packet is lost', async () => {
  const [one, two, three, four] = lab().hosts as [Host, Host, Host, Host];
  await formCluster(lab().hosts, ['--store-members', '1']);
  await one.mustOverlayd('network', 'create', 'web');
  await attach(three, 'c3', 'web', '--name', 'a');
  const far = await attach(four, 'c4', 'web', '--name', 'b');
  await untilReaches(three, 'c3', 'b');
  const pinging = await startPinging(three, 'c3', far);
  const before = identityOf(four);
  const restore = () => three.overlayd('store', 'restore', '--from-here', '--new-store');
  await one.powerOff();
  await until('another host to begin the store', async () => (await restore()).code === 0);
  expect(identityOf(three).caCertificate).not.toBe(before.caCertificate);
  await until('the host that began it to change something', () => changes(three, 'x'));
  expect(await changes(four, 'y')).toBe(false);
  const line = joinArguments(await three.mustOverlayd('token', 'create'));
  for (const host of [four, two]) await host.mustOverlayd(...line);
  await until('the others to follow', async () => (await changes(four, 'y')) && (await changes(two, 'z')));
  expect(identityOf(four)).toMatchObject({ nodeId: before.nodeId, caCertificate: identityOf(three).caCertificate });
  const late = await attach(two, 'c2', 'web', '--name', 'c');
  await untilReaches(four, 'c4', 'c');
  expect(late).not.toBe(far);
  expect(await pinging.end()).toEqual([]);
});
