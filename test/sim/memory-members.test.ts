import { beforeEach, expect, test } from 'vitest';
import type { EtcdServerSettings } from '../../src/ports/store.ts';
import { MemoryMembers } from './memory-members.ts';
import { MemoryEtcd } from './memory-store.ts';
import { VirtualClock } from './virtual-clock.ts';

let clock: VirtualClock;
let members: MemoryMembers;
beforeEach(async () => {
  clock = new VirtualClock();
  members = new MemoryMembers(new MemoryEtcd({ clock }));
  await ensure(1, 'alone');
});

const settled = <T>(promise: Promise<T>) => clock.until(promise);
const server = (number: number) => members.server(`n${number}`);
const urlOf = (number: number) => `https://10.0.0.${number}:2380`;
const idOf = (number: number) => members.all.find(({ peerUrls }) => peerUrls.includes(urlOf(number)))!.id;

function ensure(number: number, begin?: EtcdServerSettings['begin'], onRemoved?: () => void) {
  const material = { certificate: '', key: '', caCertificate: '' };
  const address = { advertiseAddress: `10.0.0.${number}`, listenAddress: '0.0.0.0' };
  return settled(server(number).ensure({ name: `n${number}`, ...address, material, begin, onRemoved }));
}

async function grow(number: number, onRemoved?: () => void): Promise<void> {
  await clock.advance(5_000);
  await settled(members.membership().addLearner(urlOf(number)));
  await ensure(number, members.all, onRemoved);
  expect(await settled(members.membership().promote(idOf(number)))).toBe(true);
}

const write = () => settled(members.etcd.store('n').txn([], [{ kind: 'put', key: '/k', value: 'v' }]));

test('any minority of the voters may be away; without a majority nothing is answered, and all is as it was when one returns', async () => {
  await grow(2);
  await grow(3);
  server(1).powerOff();
  server(2).freeze();
  await expect(write()).rejects.toMatchObject({ code: 'store-unavailable' });
  await expect(settled(members.membership().members())).rejects.toMatchObject({ code: 'store-unavailable' });
  server(2).thaw();
  expect(await write()).toMatchObject({ succeeded: true });
  await ensure(1);
  server(1).kill();
  // Whoever looks after the one that was killed has started it again.
  await clock.advance(1_000);
  server(2).powerOff();
  expect(await write()).toMatchObject({ succeeded: true });
  expect(members.reaches(['https://10.0.0.2:2379'])).toBe(false);
  expect(members.reaches(['https://10.0.0.2:2379', 'https://10.0.0.3:2379'])).toBe(true);
});

test('a learner counts for nothing, there is one at a time, and it votes when its server has come up', async () => {
  const ways = members.membership();
  await clock.advance(5_000);
  const { id } = await settled(ways.addLearner(urlOf(2)));
  expect(await settled(ways.addLearner(urlOf(2)))).toMatchObject({ id });
  await expect(settled(ways.addLearner(urlOf(3)))).rejects.toMatchObject({ code: 'store-failed' });
  expect(await settled(ways.promote(id))).toBe(false);
  await expect(ensure(2, members.all.slice(1))).rejects.toMatchObject({ code: 'store-failed' });
  await ensure(2, members.all);
  expect(members.reaches(['https://10.0.0.2:2379'])).toBe(false);
  expect(await settled(ways.promote(id))).toBe(true);
  expect(members.all.map(({ name, isLearner }) => [name, isLearner])).toEqual([
    ['n1', false],
    ['n2', false],
  ]);
  // It has come only just now.
  await expect(settled(ways.addLearner(urlOf(3)))).rejects.toMatchObject({ code: 'store-unavailable' });
});

test('no removal leaves less than a majority', async () => {
  await grow(2);
  server(2).powerOff();
  await expect(settled(members.membership().remove(idOf(2)))).rejects.toMatchObject({ code: 'store-unavailable' });
  await ensure(2);
  await settled(members.membership().remove(idOf(1)));
  expect(await write()).toMatchObject({ succeeded: true });
});

test('who is removed ends, at once or when it returns, and may be added anew', async () => {
  const told: number[] = [];
  await grow(2, () => told.push(2));
  await grow(3, () => told.push(3));
  await settled(members.membership().remove(idOf(3)));
  await clock.advance(2_000);
  expect([told, server(3).runs, server(3).data]).toEqual([[3], false, undefined]);
  await expect(ensure(3)).rejects.toMatchObject({ code: 'store-failed' });
  await grow(3, () => told.push(3));
  server(3).powerOff();
  await settled(members.membership().remove(idOf(3)));
  await expect(ensure(3, undefined, () => told.push(3))).rejects.toMatchObject({ code: 'store-removed' });
  expect(told).toEqual([3, 3]);
});

test('one that nobody waits for any more is known by its address once it has a leader', async () => {
  await grow(2);
  await clock.advance(5_000);
  const { id } = await settled(members.membership().addLearner(urlOf(3)));
  const begun = ensure(3, members.all);
  server(2).powerOff();
  await expect(begun).rejects.toMatchObject({ code: 'store-unavailable' });
  await ensure(2);
  expect(await settled(members.membership().promote(id))).toBe(true);
  expect(members.reaches(['https://10.0.0.3:2379'])).toBe(true);
});

test('what takes the place of one that was frozen is not', async () => {
  await grow(2);
  await grow(3);
  server(3).freeze();
  await settled(members.membership().remove(idOf(3)));
  await settled(server(3).setAside());
  await grow(3);
  expect(server(3).runs).toBe(true);
});

test('an address that changes is told; a store that begins in place of another knows nobody of before', async () => {
  await grow(2);
  await write();
  const settings = { name: 'n2', listenAddress: '::', material: { certificate: '', key: '', caCertificate: '' } };
  await settled(server(2).ensure({ ...settings, advertiseAddress: '10.0.0.22' }));
  expect(members.all[1]).toMatchObject({
    peerUrls: ['https://10.0.0.22:2380'],
    clientUrls: ['https://10.0.0.22:2379'],
  });
  server(1).loseData();
  await ensure(1, 'alone');
  expect(members.all).toHaveLength(1);
  expect(server(2).runs).toBe(false);
  expect(await settled(members.etcd.store('n').get('/k'))).toBeUndefined();
});
