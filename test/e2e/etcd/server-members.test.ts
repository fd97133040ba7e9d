import { access, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createPki } from '../../../src/adapters/pki/pki.ts';
import type { Host } from '../../lab/host.ts';
import { StoreServer } from '../../lab/store-server.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

let servers: StoreServer[] = [];
useLab({
  hosts: 3,
  prepare: async ({ hosts }) => {
    servers = await Promise.all(hosts.map(make));
  },
});

const pki = createPki();
const authority = pki.createCa('c1', Date.now());

async function materialOf(nodeId: string, address: string) {
  const [ca, key] = [await authority, await pki.createKey()];
  const validity = { now: Date.now(), lifetimeMs: 3_600_000 };
  const certificate = await pki.issue(ca, { csr: await pki.createCsr(key), nodeId, address, keeper: true }, validity);
  return { certificate, key, caCertificate: ca.certificate };
}

async function make(host: Host, index: number): Promise<StoreServer> {
  const name = String(index + 1).repeat(32);
  return new StoreServer(host, name, await materialOf(name, host.address));
}

const all = () => servers as [StoreServer, StoreServer, StoreServer];

/** It goes on by itself or by another one of those given. */
const writes = (by: StoreServer, ...through: StoreServer[]) =>
  until('a write', async () => /OK/.test(await by.ctl(...through).run('put', '/k', 'v')));

const reads = async (server: StoreServer) => (await server.ctl().run('get', '/k', '--print-value-only')).trim();

const isThere = (server: StoreServer, name: string) =>
  access(join(server.host.dataDirectory, name)).then(
    () => true,
    () => false,
  );

async function grow(by: StoreServer, other: StoreServer): Promise<void> {
  expect(await other.ensure(await by.add(other))).not.toHaveProperty('code');
  await by.promote(other);
}

test('a store of one has its peer at the address of its host', async () => {
  const [one] = all();
  expect(await one.ensure('alone')).toEqual({ endpoints: [`https://${one.host.address}:2379`], removed: 0 });
  const url = `https://${one.host.address}`;
  expect(await one.members()).toMatchObject([
    { name: one.name, peerUrls: [`${url}:2380`], clientUrls: [`${url}:2379`], isLearner: false },
  ]);
  await writes(one);
});

test('one that kept to loopback moves to the address, with its data', async () => {
  const [one] = all();
  await one.order({ do: 'stop' });
  const directory = join(one.host.dataDirectory, 'etcd');
  // As releases before there were members started it.
  const client = [`https://${one.host.address}:2379`, 'https://127.0.0.1:2379'];
  const files = { 'cert-file': 'server.pem', 'key-file': 'server-key.pem', 'trusted-ca-file': 'ca.pem' };
  const tls = Object.entries(files).flatMap(([flag, file]) =>
    ['', 'peer-'].flatMap((side) => [`--${side}${flag}`, join(directory, file)]),
  );
  const old = one.host.spawn([
    ...['env', '-C', directory, 'etcd', '--name', 'overlayd', '--data-dir', join(directory, 'data')],
    ...['--listen-client-urls', client.join(','), '--advertise-client-urls', client[0]!],
    ...['--listen-peer-urls', 'https://127.0.0.1:2380', ...tls, '--client-cert-auth=true'],
  ]);
  await writes(one);
  const [{ id } = { id: '' }] = await one.members();
  await one.ctl().run('member', 'update', id, '--peer-urls=https://127.0.0.1:2380');
  expect(await one.ensure()).not.toHaveProperty('code');
  await old.exited;
  expect(await one.members()).toMatchObject([{ id, name: one.name, peerUrls: [`https://${one.host.address}:2380`] }]);
  expect(await reads(one)).toBe('v');
});

test('the second learns, is killed meanwhile, votes; so does the third', async () => {
  const [one, two, three] = all();
  const members = await one.add(two);
  const joining = two.ensure(members);
  await until('etcd to be there', async () => (await two.pids()) !== '');
  await two.signal('KILL');
  await joining;
  await until('the learner', async () => (await two.ensure(members)).code === undefined);
  expect(await one.member(two)).toMatchObject({ isLearner: true });
  await one.promote(two);
  await grow(one, three);
  expect((await three.members()).map(({ isLearner }) => isLearner)).toEqual([false, false, false]);
  expect(await reads(three)).toBe('v');
});

test('any of the three may be killed: the others go on, and it comes back by itself', async () => {
  for (const [victim, other] of [...all().keys()].map((i) => [servers[i]!, servers[(i + 1) % 3]!] as const)) {
    const before = await victim.pids();
    await victim.signal('KILL');
    await writes(other);
    await until('it to be back', async () => !['', before].includes(await victim.pids()));
    await writes(victim);
  }
});

test('an address that changes is followed, also when the others cannot be told at first', async () => {
  const [one, two, three] = all();
  const address = '10.77.0.22';
  // What was connected from the old one ends with its etcd: of what is half open, etcd 3.5 hears after minutes.
  await two.host.must(['ip', 'address', 'delete', '10.77.0.2/24', 'dev', 'eth0']);
  await two.host.must(['ip', 'address', 'replace', `${address}/24`, 'dev', 'eth0']);
  two.change({ advertiseAddress: address, material: await materialOf(two.name, address) });
  for (const other of [one, three]) await other.signal('STOP');
  expect(await two.ensure()).toMatchObject({ code: 'store-unavailable' });
  two.endAgent();
  for (const other of [one, three]) await other.signal('CONT');
  expect(await two.ensure()).toMatchObject({ endpoints: [`https://${address}:2379`] });
  await until('the others to know', async () => (await one.member(two)).peerUrls[0] === `https://${address}:2380`);
  // As agents do (`silent-peers.ts`), of which there are none here: etcd 3.5 does not notice that nobody is there any more.
  for (const other of [one, three]) await other.host.must(['ss', '-K', 'dst', '10.77.0.2', 'dport', '=', ':2380']);
  // The two that are left need each other.
  await three.signal('STOP');
  await writes(one);
  await writes(two);
  await three.signal('CONT');
});

test('arguments are the same: nothing is restarted; a server that is adopted is as good', async () => {
  const [, two] = all();
  const pid = await two.pids();
  two.endAgent();
  expect(await two.ensure()).not.toHaveProperty('code');
  expect(await two.pids()).toBe(pid);
});

test('a member that is removed sets its data aside, and is not tried again', async () => {
  const [one, , three] = all();
  await one.remove(three);
  await until('its etcd to end', async () => (await three.pids()) === '');
  await until('it to be told', async () => (await three.order({ do: 'check' })).removed === 1);
  expect(await three.pids()).toBe('');
  expect([await isThere(three, 'etcd'), await isThere(three, 'etcd.aside')]).toEqual([false, true]);
});

test('without data it does not begin an empty store', async () => {
  const [, , three] = all();
  expect(await three.ensure()).toMatchObject({ code: 'store-failed', message: expect.stringContaining('are gone') });
  expect(await three.pids()).toBe('');
});

test('one that was removed becomes a member anew, whatever it has of before', async () => {
  const [one, , three] = all();
  const directory = join(three.host.dataDirectory, 'etcd');
  await three.order({ do: 'stop' });
  await three.host.must(['rm', '-rf', directory]);
  await rename(`${directory}.aside`, directory);
  await grow(one, three);
  expect(await reads(three)).toBe('v');
});

test('one that was away when it was removed learns of it when it returns', async () => {
  const [one, , three] = all();
  await three.order({ do: 'stop' });
  three.endAgent();
  await one.remove(three);
  expect(await three.ensure()).toMatchObject({ code: 'store-removed', removed: 1 });
  expect(await three.pids()).toBe('');
  expect(await isThere(three, 'etcd')).toBe(false);
});
