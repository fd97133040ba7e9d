import { expect, it, test } from 'vitest';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys } from '../../src/core/records.ts';
import { clientUrlOf } from '../../src/core/store-members.ts';
import { seededRandom } from './seeded-random.ts';
import { StoreHosts } from './store-hosts.ts';

async function grown(hosts: number, wanted = 3) {
  const all = new StoreHosts();
  await all.found(wanted);
  for (let i = 1; i < hosts; i++) await all.join();
  const voting = Math.min(wanted, hosts);
  await all.until(() => all.keepers.nodeIds.length === voting - ((voting + 1) % 2) && !hasChange(all));
  return all;
}

function hasChange(all: StoreHosts): boolean {
  return all.etcd.entries(keys.storeChange).length > 0;
}

const settled = (all: StoreHosts, shown: string) => all.until(() => all.shown === shown && !hasChange(all), 600_000);

test('the second host gets a copy, the third makes all three vote, and nobody starts anew for it', async () => {
  const all = new StoreHosts();
  const first = await all.found(3);
  await all.clock.advance(20_000);
  expect(all.shown).toBe('h1');
  const second = await all.join();
  await settled(all, '(h2) h1');
  expect(second.saved.store).toMatchObject({ bundled: true, endpoints: [clientUrlOf(first.record)] });
  const third = await all.join();
  await settled(all, 'h1 h2 h3');
  await all.until(() => all.hosts.every(({ saved }) => saved.store.endpoints.length === 3));
  for (const host of [first, second, third]) expect(host.saved.store.endpoints[0]).toBe(clientUrlOf(host.record));
  await all.join();
  await all.clock.advance(60_000);
  expect(all.shown).toBe('h1 h2 h3');
});

test('a host that cannot keep it is passed over', async () => {
  const all = new StoreHosts();
  await all.found(3);
  await all.join(({ record }) => Object.assign(record, { nat: true }));
  await all.join((host) => {
    const { store: _, ...record } = host.record;
    host.record = record;
  });
  await all.join();
  await all.join();
  await settled(all, 'h1 h4 h5');
});

test('one whose etcd does not start is given up for another', async () => {
  const all = new StoreHosts();
  await all.found(3);
  await all.join(({ server }) => server.uninstall());
  await all.clock.advance(5_000);
  expect(all.members.all).toHaveLength(2);
  await all.join();
  await all.join();
  await settled(all, 'h1 h3 h4');
});

test('one that dies while it is added is given up, with the agent that has added it away as well', async () => {
  const all = await grown(3, 5);
  const fourth = await all.join(({ server }) => server.uninstall());
  await all.clock.advance(2_000);
  fourth.crash();
  all.hosts[0]!.crash();
  await all.join();
  await settled(all, '(h5) h1 h2 h3');
});

test('a dead keeper is replaced after ten minutes, where there is another host, and returns as none', async () => {
  const all = await grown(3);
  const [, second] = all.hosts;
  second!.powerOff();
  await all.clock.advance(1_000_000);
  expect(all.shown).toBe('h1 h2 h3');
  await all.join();
  await settled(all, 'h1 h3 h4');
  await second!.start();
  await all.until(() => !second!.saved.store.bundled);
  await all.clock.advance(5_000);
  expect([second!.server.runs, second!.server.aside !== undefined]).toEqual([false, true]);
  expect(all.shown).toBe('h1 h3 h4');
});

test('one that is away for less is not', async () => {
  const all = await grown(4);
  all.hosts[1]!.powerOff();
  await all.clock.advance(500_000);
  await all.hosts[1]!.start();
  await all.clock.advance(700_000);
  expect(all.shown).toBe('h1 h2 h3');
});

test('with two of three away nothing is changed, and it is whole when one returns', async () => {
  const all = await grown(4);
  all.hosts[0]!.powerOff();
  all.hosts[1]!.powerOff();
  await all.clock.advance(2_000_000);
  expect(all.shown).toBe('h1 h2 h3');
  await all.hosts[1]!.start();
  await all.until(() => all.members.hasMajority);
  await all.until(() => all.shown === 'h2 h3 h4' && !hasChange(all), 1_000_000);
});

test('a demoted keeper is replaced by another that votes first, and its etcd is set aside', async () => {
  const all = await grown(4);
  const { nodeIds } = all.keepers;
  const demoted = [nodeIds[0]!];
  all.etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value: encodeRecord({ nodeIds, demoted }) }]);
  await settled(all, 'h2 h3 h4');
  await all.until(() => !all.hosts[0]!.saved.store.bundled);
  expect(all.keepers).toMatchObject({ demoted });
  await all.until(() => all.hosts.every(({ saved }) => saved.store.endpoints.length === 3));
  expect(all.hosts[0]!.saved.store.endpoints).not.toContain(clientUrlOf(all.hosts[0]!.record));
});

const quiet = { progress: () => undefined };

test('a promoted host is one more: five are wanted then, and it has a copy until there is a fifth', async () => {
  const all = await grown(4);
  const [first, , , fourth] = all.hosts;
  expect(await all.clock.until(first!.wishes.promote(fourth!.record, quiet), 200_000)).toEqual([
    'h4 has a copy of the store and no vote yet',
  ]);
  expect(all.shown).toBe('(h4) h1 h2 h3');
  await all.join();
  await settled(all, 'h1 h2 h3 h4 h5');
  const sixth = await all.join();
  await expect(all.clock.until(first!.wishes.promote(sixth.record, quiet))).rejects.toThrow('more are of no use');
  await all.clock.until(first!.wishes.resize(3));
  await settled(all, 'h1 h2 h4');
});

test('one that is wanted where the store has one member is one, once there is a third host', async () => {
  const all = await grown(2, 1);
  const [first, second] = all.hosts;
  const promoted = first!.wishes.promote(second!.record, quiet);
  await settled(all, '(h2) h1');
  await all.join();
  expect(await all.clock.until(promoted)).toEqual([]);
  await settled(all, 'h1 h2 h3');
});

test('who cannot keep it is named, with what it lacks', async () => {
  const all = await grown(4);
  const [first, , , fourth] = all.hosts;
  const { store: _, ...bare } = fourth!.record;
  const say = (record: object) =>
    all.etcd.txn([], [{ kind: 'put', key: keys.node(fourth!.record.id), value: encodeRecord(record) }]);
  say(bare);
  await expect(first!.wishes.promote(fourth!.record, quiet)).rejects.toMatchObject({ code: 'tool-missing' });
  say({ ...bare, storeProblem: 'port 2379/tcp of etcd is in use here by dockerd' });
  await expect(first!.wishes.promote(fourth!.record, quiet)).rejects.toThrow(/h4 cannot keep the store: port 2379/);
  say({ ...fourth!.record, nat: true });
  await expect(first!.wishes.promote(fourth!.record, quiet)).rejects.toThrow('behind NAT');
  say({ ...fourth!.record, left: true });
  await expect(first!.wishes.demote(fourth!.record, quiet)).rejects.toMatchObject({ code: 'node-not-found' });
  await expect(first!.wishes.resize(4)).rejects.toThrow('4 is none of 1, 3, 5');
  const alone = new StoreHosts();
  const only = await alone.found(3);
  await alone.join((host) => {
    const { store: __, ...record } = host.record;
    host.record = record;
  });
  await expect(only.wishes.demote(only.record, quiet)).rejects.toMatchObject({ code: 'store-holder' });
});

test('the keeper that is asked demotes itself, and one of two hands over to the copy', async () => {
  const all = await grown(2);
  const [first] = all.hosts;
  expect(await all.clock.until(first!.wishes.demote(first!.record, quiet), 200_000)).toEqual([]);
  expect(all.shown).toBe('h2');
  await all.until(() => !first!.saved.store.bundled);
});

test('fewer are wanted: two go, one after the other', async () => {
  const all = await grown(3);
  const [entry] = all.etcd.entries(keys.cluster);
  const record = { ...JSON.parse(entry!.value), storeMembers: 1 };
  all.etcd.txn([], [{ kind: 'put', key: keys.cluster, value: encodeRecord(record) }]);
  await settled(all, 'h1');
  await all.until(() => all.hosts.filter(({ saved }) => saved.store.bundled).length === 1);
});

test('a keeper that was removed while it was frozen keeps nothing when it thaws', async () => {
  const all = await grown(4);
  const third = all.hosts[2]!;
  third.crash();
  third.server.freeze();
  await all.until(() => all.shown === 'h1 h2 h4' && !hasChange(all), 1_000_000);
  await third.start();
  third.server.thaw();
  await all.until(() => !third.saved.store.bundled);
  await all.clock.advance(5_000);
  expect(third.server.runs).toBe(false);
});

test('a keeper that moves is asked where it is now', async () => {
  const all = await grown(3);
  const [, second, third] = all.hosts;
  all.change(second!, { advertiseAddress: '192.0.2.99' });
  await all.until(() => third!.saved.store.endpoints.includes('https://192.0.2.99:2379'));
});

test('one with a copy that moves is told to the voters by them: it may not say so itself', async () => {
  const all = new StoreHosts();
  await all.found(3);
  const second = await all.join();
  await settled(all, '(h2) h1');
  all.change(second, { advertiseAddress: '192.0.2.99' });
  await second.server.ensure(second.etcdSettings);
  await all.until(() => all.members.all[1]!.peerUrls.join() === 'https://192.0.2.99:2380');
  await all.join();
  await settled(all, 'h1 h2 h3');
});

test('a host that moves while it is added is added where it is now', async () => {
  const all = new StoreHosts();
  await all.found(3);
  const second = await all.join(({ server }) => server.uninstall());
  await all.until(() => all.members.all.length === 2);
  all.change(second, { advertiseAddress: '192.0.2.99' });
  await second.moved();
  second.server.install();
  await settled(all, '(h2) h1');
  expect(all.members.all[1]!.peerUrls).toEqual(['https://192.0.2.99:2380']);
  // Not given up and begun anew.
  expect(all.clock.elapsed()).toBeLessThan(60_000);
});

test('a keeper that moved while its agent was away asks itself where it is now, whatever is listed of it', async () => {
  const all = new StoreHosts();
  const first = await all.found(1);
  first.powerOff();
  const [advertiseAddress, url] = ['192.0.2.99', 'https://192.0.2.99:2379'];
  first.file.content = { ...first.saved, advertiseAddress, store: { ...first.saved.store, endpoints: [url] } };
  await first.start();
  await all.clock.advance(20_000);
  expect([first.saved.store.endpoints, first.store.fault]).toEqual([[url], undefined]);
});

it.each(Array.from({ length: 60 }, (_, i) => i + 1))(
  'whichever keeper is killed before its call %i, it is gone on with',
  async (call) => {
    const random = seededRandom(call);
    const all = new StoreHosts();
    await all.found(3);
    for (let i = 0; i < 4; i++) {
      const victim = all.hosts[Math.floor(random.next() * all.hosts.length)]!;
      victim.calls = 0;
      victim.crashAfter = call;
      await all.join();
      await all.clock.advance(random.next() * 20_000);
      for (const host of all.hosts) if (!host.isUp) await host.start();
    }
    await all.until(() => all.keepers.nodeIds.length === 3 && !hasChange(all), 2_000_000);
    const { nodeIds } = all.keepers;
    const demoted = [nodeIds[Math.floor(random.next() * 3)]!];
    for (const host of all.hosts) Object.assign(host, { calls: 0, crashAfter: call });
    all.etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value: encodeRecord({ nodeIds, demoted }) }]);
    for (let i = 0; i < 40; i++) {
      await all.clock.advance(1_000 + random.next() * 2_000);
      for (const host of all.hosts) if (!host.isUp) await host.start();
    }
    await all.until(() => !all.keepers.nodeIds.includes(demoted[0]!) && all.keepers.nodeIds.length === 3, 2_000_000);
    await all.until(() => !hasChange(all));
    const bundled = () => all.hosts.filter(({ saved }) => saved.store.bundled).map(({ record }) => record.id);
    await all.until(() => bundled().sort().join() === [...all.keepers.nodeIds].sort().join());
    expect(all.members.hasMajority).toBe(true);
  },
);
