/** An etcd of one's own that knows each host by a certificate of its own: what `store roles` prints is run there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { keys } from '../../src/core/records.ts';
import { formCluster, joinArguments, untilFlawless, untilReady } from '../lab/cluster.ts';
import { EtcdServer } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let etcd: EtcdServer;
let store: Host;
let root: { readonly cert: string; readonly key: string };
const certificates = new Map<Host, { readonly cert: string; readonly key: string }>();

/** Two of the three have the CA's key: they may write all. */
const lab = useLab({
  hosts: 3,
  prepare: async (made) => {
    const hosts = [...made.hosts];
    store = await made.addHost('store', 250);
    etcd = await EtcdServer.start(store, { tls: true });
    root = await etcd.certificateFor(store, 'root');
    await formCluster(hosts, [...etcd.initArguments, '--store-members', '1']);
    await hosts[0]!.mustOverlayd('network', 'create', 'web');
  },
});

const members = () => lab().hosts.filter((host) => host !== store);
const identityOf = (host: Host): { readonly nodeId: string; readonly store: Record<string, unknown> } =>
  JSON.parse(readFileSync(join(host.dataDirectory, 'identity.json'), 'utf8'));
const refused = (what: Promise<unknown>) => expect(what).rejects.toThrow(/permission denied/);

/** All lines that it prints, as they are. What is so already fails. */
async function runRoles(host: Host, as: { readonly cert: string; readonly key: string }, flags: string): Promise<void> {
  const { Commands } = await host.json('store', 'roles');
  const env = { ETCDCTL_ENDPOINTS: etcd.url, ETCDCTL_CACERT: etcd.tls!.ca, ETCDCTL_CERT: as.cert, ETCDCTL_KEY: as.key };
  await store.must(['sh', flags, Commands.join('\n')], { env: { ...env, ETCDCTL_API: '3' } });
}

async function logIn(host: Host): Promise<void> {
  const made = await etcd.certificateFor(host, host.name);
  certificates.set(host, made);
  await host.mustOverlayd('store', 'login', '--etcd-cert', made.cert, '--etcd-key', made.key);
}

test('each host gets its own certificate, etcd asks who somebody is, and no packet is lost by that', async () => {
  const [one, two, three] = members() as [Host, Host, Host];
  const address = await attach(one, 'c1', 'web', '--name', 'n1');
  await attach(three, 'c3', 'web', '--name', 'n3');
  await untilReaches(three, 'c3', 'n1');
  const ping = await startPinging(three, 'c3', address);
  await runRoles(one, etcd.tls!, '-ec');
  for (const host of [one, two, three]) await logIn(host);
  await etcd.ctl.run('user', 'add', 'root', '--no-password');
  await etcd.ctl.run('user', 'grant-role', 'root', 'root');
  await etcd.ctl.run('auth', 'enable');
  await untilReady([one, two, three]);
  for (const [at, host] of [one, two, three].entries()) {
    await attach(host, `d${at}`, 'web', '--name', `d${at}`);
    await untilReaches(three, 'c3', `d${at}`);
  }
  for (const host of [one, two, three]) {
    await until(`${host.name} to have nothing to say`, async () => {
      const { Problems } = await host.json('status');
      if (Problems.length > 0) throw new Error(Problems.join('; '));
      return true;
    });
  }
  // Some releases tell a host how etcd is, and some tell root alone.
  for (const host of [one, two, three]) {
    expect((await host.json('store', 'status')).Members).toMatchObject([{ Answers: true }]);
  }
  expect(await ping.end()).toEqual([]);
});

test('a host’s certificate writes what is its own, and nothing of another’s', async () => {
  const [one, two, three] = members() as [Host, Host, Host];
  const as = etcd.as(certificates.get(three)!);
  const [own, other] = [identityOf(three).nodeId, identityOf(one).nodeId];
  const endpoint = (await one.json('endpoint', 'ls')).find(({ Name }: { Name: string }) => Name === 'n1');
  for (const key of [
    ...[keys.cluster, keys.token('abcdefgh'), keys.storeGate, keys.certificates(other), '/elsewhere'],
    ...[keys.node(other), keys.live(other), keys.nodeName(one.name)],
    keys.endpoint({ nodeId: other, id: endpoint.ID ?? 'e' }),
  ]) {
    await refused(as.run('put', key, '{}'));
    await refused(as.run('del', key));
  }
  await refused(as.run('del', '--prefix', '/overlayd/v2/endpoints/'));
  await refused(as.run('auth', 'disable'));
  const node = await as.run('get', keys.node(own), '--print-value-only');
  await as.run('put', keys.node(own), node.trim());
  // What it may not, a keeper does for it.
  const { ID } = await three.json('token', 'create', '--uses', '1');
  await three.mustOverlayd('token', 'revoke', ID);
  // Nor does the one that all had at first open anything.
  await refused(etcd.ctl.run('get', keys.cluster));
  expect(identityOf(two).store).toMatchObject({ bundled: false, shared: { key: readFileSync(etcd.tls!.key, 'utf8') } });
});

test('what etcd refuses changes nothing', async () => {
  const [, two] = members() as [Host, Host];
  const stranger = await etcd.certificateFor(two, 'stranger');
  const before = identityOf(two);
  const answer = await two.overlayd('store', 'login', '--etcd-cert', stranger.cert, '--etcd-key', stranger.key);
  expect(answer.code).toBe(1);
  expect(answer.stderr).toMatch(/permission denied|user name is empty|refuses/);
  expect(identityOf(two)).toEqual(before);
  await untilFlawless(two);
});

test('a host joins by what all had at first while that may write, and is like the others when it has logged in', async () => {
  const [one, , three] = members() as [Host, Host, Host];
  const admin = etcd.as(root);
  await admin.run('user', 'add', 'etcd', '--no-password');
  for (const role of ['overlayd-member', 'overlayd-joining']) await admin.run('user', 'grant-role', 'etcd', role);
  const line = joinArguments(await one.mustOverlayd('token', 'create'));
  const four = await lab().addHost('h4', 4);
  await four.agent.start();
  await four.mustOverlayd(...line, '--advertise-addr', four.address);
  await runRoles(one, root, '-c');
  await logIn(four);
  await admin.run('user', 'revoke-role', 'etcd', 'overlayd-joining');
  await untilReady([one, three, four]);
  await attach(four, 'c4', 'web', '--name', 'n4');
  await untilReaches(three, 'c3', 'n4');
  await refused(etcd.ctl.run('put', keys.node(identityOf(four).nodeId), '{}'));
});
