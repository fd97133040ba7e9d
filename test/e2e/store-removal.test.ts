/** A host that keeps the store is removed by force while another one is lost: its etcd is needed until it can be let go. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { untilMade, untilUnmade } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3, cluster: true, storeMembers: 3 });

const runsEtcd = async (host: Host) => (await host.run(['pgrep', '-x', 'etcd'])).code === 0;
/** Serials that the host's etcd refuses. */
const revokedBy = (host: Host) =>
  host.must(['openssl', 'crl', '-noout', '-text', '-in', join(host.dataDirectory, 'etcd/revoked.crl')]);

test('changes go on, and it is refused when nobody needs it any more', async () => {
  const [one, two, three] = lab().hosts as [Host, Host, Host];
  await until('three keepers', async () => (await one.json('status')).Store.Endpoints.length === 3);
  const { certificate } = JSON.parse(readFileSync(join(three.dataDirectory, 'identity.json'), 'utf8'));
  const serial = new X509Certificate(certificate).serialNumber;
  await two.powerOff();
  await until('the loss to be noticed', async () => {
    const nodes: { Name: string; State: string }[] = await one.json('node', 'ls');
    return nodes.some(({ Name, State }) => Name === two.name && State !== 'ready');
  });
  // Where it led, another one does first.
  const removed = async () => (await one.overlayd('node', 'rm', '--force', three.name)).code === 0;
  await until('the other to be removed', removed);
  // Its host is let in no more, and etcd would write to it on connections of which nothing comes back.
  let tooEarly = false;
  await until('both to be members of etcd no more', async () => {
    await untilMade(one, 'made');
    await untilUnmade(one, 'made');
    const { Members } = await one.json('store', 'status');
    if (Members.length > 1 && (await revokedBy(one)).includes(serial)) tooEarly = true;
    return Members.length === 1;
  });
  expect({ tooEarly }).toEqual({ tooEarly: false });
  await until('its etcd to end', async () => !(await runsEtcd(three)));
  await until('its certificate to be refused', async () => (await revokedBy(one)).includes(serial));
  await one.mustOverlayd('network', 'create', 'web');
});
