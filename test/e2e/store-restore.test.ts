/** Backups of the cluster's records, what is restored of them, and stores that move, while packets go on. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formCluster } from '../lab/cluster.ts';
import { EtcdServer, etcdPid } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let etcd: EtcdServer;
/** Address of a container on the third host. */
let far: string;
const lab = useLab({
  hosts: 3,
  prepare: async (made) => {
    etcd = await EtcdServer.start(await made.addHost('store', 250), { tls: true });
  },
});

const names = async (host: Host) =>
  ((await host.json('endpoint', 'ls')) as { Name: string }[]).map(({ Name }) => Name).sort();
const untilFollows = (host: Host, endpoint: string) =>
  until(`${host.name} to follow the store at ${endpoint}`, async () => {
    const { Store, Problems } = await host.json('status');
    if (Store.Reachable && Store.Endpoints.includes(endpoint)) return true;
    throw new Error(`${Store.Endpoints}: ${Problems.join('; ')}`);
  });
const untilMade = (host: Host, network: string) =>
  until(`${host.name} to make network ${network}`, async () => {
    await host.mustOverlayd('network', 'create', network);
    return true;
  });

test('what was removed by mistake is put back, and what is connected stays', async () => {
  const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
  await formCluster(lab().hosts);
  // The third host is a plain member. Of two one votes alone, and the other has a copy.
  await one.mustOverlayd('node', 'demote', 'h3');
  await until('the second host to have what the first one has', async () => {
    const { Keepers, Copies } = (await one.json('status')).Store as { Keepers: string[]; Copies: string[] };
    return [...Keepers, ...Copies].sort().join() === 'h1,h2';
  });
  await one.mustOverlayd('network', 'create', 'web');
  await one.mustOverlayd('network', 'create', 'idle');
  await attach(two, 'c2', 'web', '--name', 'b');
  far = await attach(three, 'c3', 'web', '--name', 'c');
  await untilReaches(two, 'c2', 'c');
  const file = join(one.directory, 'backup');
  expect(await one.mustOverlayd('store', 'backup', file)).toMatch(/^\d+ records written to /);
  await one.mustOverlayd('network', 'rm', 'idle');
  await attach(one, 'c1', 'web', '--name', 'a');
  const pinging = await startPinging(two, 'c2', far);
  // Whoever may put records back could make himself a keeper.
  const plain = await three.overlayd('store', 'restore', file);
  expect(plain.stderr).toMatch(/h3 does not keep the store.*run the command on h1/);
  expect(await one.mustOverlayd('store', 'restore', file)).toBe('The store is restored.');
  await until('the network to be there again', async () => {
    const networks = (await three.json('network', 'ls')) as { Name: string }[];
    return networks.some(({ Name }) => Name === 'idle');
  });
  expect(await names(three)).toEqual(['a', 'b', 'c']);
  await untilMade(three, 'after');
  expect(await pinging.end()).toEqual([]);
});

test('the host of the etcd that decides is lost: the one with a copy goes on with what it knows, and nobody joins anew', async () => {
  const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
  const pinging = await startPinging(two, 'c2', far);
  await one.powerOff();
  const refused = await two.overlayd('store', 'restore', '--from-here');
  expect(refused.stderr).toMatch(/If it comes back, wait for it.*--new-store/);
  await two.mustOverlayd('store', 'restore', '--from-here', '--new-store');
  await untilFollows(three, `https://${two.address}:2379`);
  await untilMade(three, 'gone-on');
  await attach(three, 'c4', 'web', '--name', 'd');
  await untilReaches(two, 'c2', 'd');
  expect(await pinging.end()).toEqual([]);
  // The one that was lost is back, with its etcd and all that this holds.
  await one.powerOn();
  await one.agent.start();
  await untilFollows(one, `https://${two.address}:2379`);
  await until('the old etcd to be set aside', async () => (await etcdPid(one)) === '');
  await attach(one, 'c1', 'web', '--name', 'a2');
  await untilReaches(one, 'c1', 'd');
});

test('the store moves to an etcd of the user’s, and back, while packets go on', async () => {
  const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
  const pinging = await startPinging(two, 'c2', far);
  const { tls } = etcd;
  const access = ['--etcd-ca', tls!.ca, '--etcd-cert', tls!.cert, '--etcd-key', tls!.key];
  await two.mustOverlayd('store', 'move', '--etcd', etcd.url, ...access);
  for (const host of lab().hosts.slice(0, 3)) await untilFollows(host, etcd.url);
  expect(await etcdPid(two)).toBe('');
  await untilMade(one, 'outside');
  // Away while it moves back.
  await three.agent.stop();
  await two.mustOverlayd('store', 'move', '--bundled');
  await untilFollows(one, `https://${two.address}:2379`);
  await etcd.kill();
  await three.agent.start();
  await untilFollows(three, `https://${two.address}:2379`);
  await untilMade(three, 'inside');
  // What the first host had before it was lost, it releases when it believes the store.
  expect(await names(three)).toEqual(expect.arrayContaining(['a2', 'b', 'c', 'd']));
  expect(await pinging.end()).toEqual([]);
});

test('a cluster on fresh hosts takes over networks of a backup', async () => {
  const [one] = [lab().host(1)];
  const fresh = await lab().addHost('fresh', 9);
  await fresh.agent.start();
  const file = join(fresh.directory, 'backup');
  await fresh.must(['sh', '-c', `cat > ${file}`], { input: await one.mustOverlayd('store', 'backup', '-') });
  const refused = await fresh.overlayd('store', 'restore', file);
  expect(refused.stderr).toMatch(/not a member/);
  await fresh.mustOverlayd('init', '--advertise-addr', fresh.address, '--from-backup', file);
  const networks = (await fresh.json('network', 'ls')) as { Name: string; ID: string }[];
  const theirs = (await one.json('network', 'ls')) as { Name: string; ID: string }[];
  expect(networks.map(({ Name, ID }) => `${Name} ${ID}`).sort()).toEqual(
    theirs.map(({ Name, ID }) => `${Name} ${ID}`).sort(),
  );
  expect(await names(fresh)).toEqual([]);
  await attach(fresh, 'f1', 'web', '--name', 'b');
});
