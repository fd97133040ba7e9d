/** Removals of members of the store that do not come about, and hosts that come again as others. */
import { expect, test } from 'vitest';
import { OverlaydError } from '../../src/core/errors.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys } from '../../src/core/records.ts';
import { StoreHosts } from './store-hosts.ts';

const hasChange = (all: StoreHosts) => all.etcd.entries(keys.storeChange).length > 0;

async function three(): Promise<StoreHosts> {
  const all = new StoreHosts();
  await all.found(3);
  await all.join();
  await all.join();
  await all.until(() => all.shown === 'h1 h2 h3' && !hasChange(all), 600_000);
  return all;
}

test('a member that etcd does not let go goes on when its removal is given up: without it there is no majority', async () => {
  const all = await three();
  const [, second, third] = all.hosts;
  const record = { ...all.keepers, demoted: [third!.record.id] };
  all.etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value: encodeRecord(record) }]);
  await all.until(() => hasChange(all) && all.keepers.nodeIds.length === 2);
  const going = [second!, third!].find(({ record }) => !all.keepers.nodeIds.includes(record.id));
  (going === second ? third! : second!).powerOff();
  for (let i = 0; i < 4_000; i++) {
    await all.clock.advance(100);
    expect(all.members.hasMajority, `after ${i}`).toBe(true);
  }
});

test('a member whose host has a record of a newer version is no stranger to a keeper that has just started', async () => {
  const all = await three();
  for (const host of all.hosts) host.crash();
  const { id } = all.hosts[2]!.record;
  all.etcd.txn([], [{ kind: 'put', key: keys.node(id), value: '{"of":"later"}' }]);
  await all.hosts[0]!.start();
  await all.hosts[1]!.start();
  await all.clock.advance(60_000);
  expect([all.members.all.length, all.keepers.nodeIds.includes(id)]).toEqual([3, true]);
});

test('a host that was lost, and comes again as another with the same address, keeps the store as before', async () => {
  const all = await three();
  const [first, , third] = all.hosts;
  third!.powerOff();
  first!.crash();
  all.etcd.txn([], [{ kind: 'delete', key: keys.node(third!.record.id) }]);
  const { advertiseAddress } = third!.record;
  all.hosts.splice(2, 1);
  await all.join(({ record }) => Object.assign(record, { id: 'f'.repeat(32), name: 'h3', advertiseAddress }));
  await first!.start();
  await all.until(() => all.keepers.nodeIds.length === 3 && all.hosts[2]!.server.runs, 400_000);
});

test('a host that is removed by force while another is lost goes on with its etcd until the others need it no more', async () => {
  const all = await three();
  const [, second, third] = all.hosts;
  second!.powerOff();
  all.etcd.txn([], [{ kind: 'delete', key: keys.node(third!.record.id) }]);
  for (let i = 0; i < 300; i++) {
    await all.clock.advance(100);
    expect(all.members.hasMajority, `after ${i}`).toBe(true);
  }
  await second!.start();
  await all.until(() => !third!.saved.store.bundled && all.members.hasMajority, 400_000);
  expect(third!.server.runs).toBe(false);
});

test('a host that is demoted ends its etcd, also where etcd tells its members to root alone', async () => {
  const all = await three();
  await all.join();
  const third = all.hosts[2]!;
  third.crash();
  const { membership } = all.members;
  all.members.membership = (isCut) => ({
    ...membership.call(all.members, isCut),
    members: async () => {
      throw new OverlaydError('store-failed', 'permission denied');
    },
  });
  await third.start();
  all.members.membership = membership;
  const record = { ...all.keepers, demoted: [third.record.id] };
  all.etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value: encodeRecord(record) }]);
  await all.until(() => all.shown === 'h1 h2 h4' && !third.saved.store.bundled, 400_000);
});
