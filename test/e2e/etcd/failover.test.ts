/** Three members of a real etcd, and what becomes of calls and watches when one of them, or two, are lost. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EtcdStore } from '../../../src/adapters/etcd/store.ts';
import type { StoreEntry, WatchUpdate } from '../../../src/ports/store.ts';
import { until } from '../../lab/until.ts';
import { EtcdProcess } from './etcd-process.ts';
import { openStore } from './open-store.ts';

let members: EtcdProcess[];
let stores: EtcdStore[];

beforeEach(async () => {
  stores = [];
  members = await EtcdProcess.createCluster(3);
});
afterEach(async () => {
  for (const store of stores) store.close();
  await Promise.all(members.map((member) => member.close()));
});

/** The one that was started as the `first` is preferred. */
function open(first: EtcdProcess): EtcdStore {
  const store = openStore([first, ...members.filter((member) => member !== first)].map(({ url }) => url));
  stores.push(store);
  return store;
}

const put = (store: EtcdStore, key: string) => store.txn([], [{ kind: 'put', key, value: '' }]);
const works = (store: EtcdStore, key: string) =>
  put(store, key).then(
    () => true,
    () => false,
  );

async function leaderOf(store: EtcdStore): Promise<EtcdProcess> {
  const { leaderId } = await store.maintenance.memberStatus(members[0]!.url);
  const leader = (await store.membership.members()).find(({ id }) => id === leaderId);
  return members.find(({ url }) => leader?.clientUrls.includes(url))!;
}

/** Keys below `/`, as a watch tells them. */
function follow(store: EtcdStore) {
  const [keys, kinds, stop] = [new Map<string, StoreEntry>(), [] as WatchUpdate['kind'][], new AbortController()];
  const done = (async () => {
    for await (const update of store.watch('/', stop.signal)) {
      kinds.push(update.kind);
      if (update.kind === 'snapshot') for (const entry of update.entries) keys.set(entry.key, entry);
      if (update.kind !== 'events') continue;
      for (const { value, ...event } of update.events)
        if (value !== undefined) keys.set(event.key, { ...event, value });
    }
  })();
  const end = async () => {
    stop.abort();
    await done;
  };
  return { keys, kinds, end };
}

test('the member in use is frozen: a read that is under way is answered by another one, and the watch misses nothing', async () => {
  const [used, other] = [members[1]!, members[2]!];
  const [store, elsewhere] = [open(used), open(other)];
  await put(store, '/a');
  const watch = follow(store);
  await until('the snapshot', () => watch.kinds.length > 0);
  await used.freeze();
  try {
    // Within the budget of one call, which is 5 s.
    expect(await store.get('/a')).toBeDefined();
    await until('a write elsewhere', () => works(elsewhere, '/b'));
    await until('the watch to tell it', () => watch.keys.has('/b'));
    expect(watch.kinds.filter((kind) => kind === 'snapshot')).toHaveLength(1);
    await until('a write', () => works(store, '/c'));
  } finally {
    used.thaw();
  }
  await until('everything', () => watch.keys.has('/c'));
  await watch.end();
});

test('the member in use is frozen, and killed, under changes: none is made twice, and none that was said to be made is lost', async () => {
  const [used, other] = [members[1]!, members[2]!];
  const [store, elsewhere] = [open(used), open(other)];
  await store.txn([], [{ kind: 'put', key: '/count', value: '0' }]);
  let [made, lost] = [0, 0];
  const over = new AbortController();
  const count = async () => {
    while (!over.signal.aborted) {
      const { value, revision } = (await store.get('/count'))!;
      const next = String(Number(value) + 1);
      try {
        const guard = { kind: 'revision', key: '/count', revision } as const;
        const { succeeded } = await store.txn([guard], [{ kind: 'put', key: '/count', value: next }]);
        if (succeeded) made++;
      } catch {
        lost++;
      }
    }
  };
  const counting = count();
  await until('some changes', () => made > 10);
  await used.freeze();
  const before = made;
  await until('more of them', () => made > before + 10);
  used.thaw();
  await until('the first member again', async () => (await works(elsewhere, '/x')) && made > before + 20);
  await used.kill();
  const then = made;
  await until('more of them', () => made > then + 10);
  over.abort();
  await counting;
  const counted = Number((await elsewhere.get('/count'))?.value);
  expect(counted).toBeGreaterThanOrEqual(made);
  expect(counted).toBeLessThanOrEqual(made + lost);
});

test('the member in use is killed again and again while others change the same keys: what is said of each change is so', async () => {
  const ways = [members[0]!, members[1]!, members[2]!].map(open);
  const [said, over] = [{ made: new Set<string>(), refused: new Set<string>() }, new AbortController()];
  let unknown = 0;
  /** The list has all that was added; beside it a key that comes and goes. */
  const add = async (store: EtcdStore, id: string) => {
    const [list, sign] = await Promise.all([store.get('/list'), store.get('/sign')]);
    const text = `${list?.value ?? ''} ${id}`;
    const { succeeded } = await store.txn(
      [
        list ? { kind: 'revision', key: '/list', revision: list.revision } : { kind: 'absent', key: '/list' },
        sign ? { kind: 'revision', key: '/sign', revision: sign.revision } : { kind: 'absent', key: '/sign' },
      ],
      [
        { kind: 'put', key: '/list', value: text },
        sign ? { kind: 'delete', key: '/sign' } : { kind: 'put', key: '/sign', value: id },
      ],
    );
    (succeeded ? said.made : said.refused).add(id);
  };
  const work = async (store: EtcdStore, who: number) => {
    for (let i = 0; !over.signal.aborted; i++) await add(store, `${who}-${i}`).catch(() => unknown++);
  };
  await put(ways[0]!, '/a');
  const working = ways.map(work);
  for (const victim of members) {
    const before = said.made.size;
    await until('changes', () => said.made.size > before + 5);
    await victim.kill();
    await until('more of them', () => said.made.size > before + 15);
    await victim.start();
  }
  over.abort();
  await Promise.all(working);
  const made = new Set((await ways[0]!.get('/list'))!.value.trim().split(' '));
  expect([...said.made].filter((id) => !made.has(id))).toEqual([]);
  expect([...said.refused].filter((id) => made.has(id))).toEqual([]);
  expect(made.size - said.made.size).toBeLessThanOrEqual(unknown);
});

test('the leader is frozen, while another member is in use: writes go on once there is another leader', async () => {
  const leader = await leaderOf(open(members[0]!));
  const store = open(members.find((member) => member !== leader)!);
  await put(store, '/a');
  await leader.freeze();
  try {
    await until('a write', () => works(store, '/b'));
  } finally {
    leader.thaw();
  }
  expect(await store.get('/b')).toBeDefined();
});

test('two of three fall silent: nobody who asks waits for them, whether the third knows of it yet or not', async () => {
  const [left, ...silent] = members as [EtcdProcess, EtcdProcess, EtcdProcess];
  // One by way of the member that is left, one by way of one that is not.
  const [near, far] = [open(left), open(silent[0]!)];
  for (const store of [near, far]) await put(store, '/a');
  await Promise.all(silent.map((member) => member.freeze()));
  try {
    const sooner = async (store: EtcdStore, key: string) => {
      const patience = store.maintenance.memberStatus(silent[0]!.url).catch(() => 'silence');
      const refused = put(store, key).catch((error: Error) => error.message);
      return await Promise.race([refused, patience]);
    };
    expect(await sooner(near, '/under-way')).toContain('has its cluster a majority of members up?');
    await until('the third to know of no leader', () =>
      near.maintenance.memberStatus(left.url).then(
        () => false,
        (error) => error.message.includes('no leader'),
      ),
    );
    expect(await sooner(open(left), '/first')).toContain('has its cluster a majority of members up?');
  } finally {
    for (const member of silent) member.thaw();
  }
  for (const store of [near, far]) await until('a write', () => works(store, '/b'));
});

test('two of three are gone: refused with the cause, and whole when one of them is back', async () => {
  const store = open(members[0]!);
  await put(store, '/a');
  const watch = follow(store);
  await until('the snapshot', () => watch.kinds.length > 0);
  await members[1]!.kill();
  await members[2]!.kill();
  await until('the cause', () =>
    put(store, '/b').then(
      () => false,
      (error) => error.message.includes('has its cluster a majority of members up?'),
    ),
  );
  await until('the watch to say so', () => watch.kinds.includes('stalled'));
  expect(store.status().reachable).toBe(false);
  await members[1]!.start();
  await put(store, '/c');
  await until('the watch to go on', () => watch.keys.has('/c'));
  await watch.end();
});

test('a member is added as a learner, votes when it has caught up, leads when it is told to, and is removed', async () => {
  const store = open(members[0]!);
  const { membership, maintenance } = store;
  await put(store, '/a');

  const fourth = await EtcdProcess.prepare('m3');
  members.push(fourth);
  // etcd changes nothing before its members have been in touch for five seconds.
  await until('the members to be in touch', () =>
    membership.addLearner(fourth.peerUrl).then(
      () => true,
      () => false,
    ),
  );
  const added = await membership.addLearner(fourth.peerUrl);
  expect(added).toMatchObject({ name: '', peerUrls: [fourth.peerUrl], isLearner: true });
  // It does not run yet.
  expect(await membership.promote(added.id)).toBe(false);
  const known = await membership.members();
  fourth.join(known.map(({ name, peerUrls }) => ({ name: name || 'm3', peerUrl: peerUrls[0]! })));
  await until('it to vote', () => membership.promote(added.id));
  expect(await membership.promote(added.id)).toBe(true);
  const status = await maintenance.memberStatus(fourth.url);
  expect(status).toMatchObject({ memberId: added.id, isLearner: false, alarms: [], version: expect.any(String) });
  expect(status.dbSize).toBeGreaterThanOrEqual(status.dbSizeInUse);

  const { leaderId } = status;
  await membership.handOver(leaderId, added.id);
  await membership.handOver(leaderId, added.id);
  await until('it to lead', async () => (await maintenance.memberStatus(fourth.url)).leaderId === added.id);

  await membership.move(added.id, fourth.peerUrl);
  await membership.remove(added.id);
  await membership.remove(added.id);
  await until('three', async () => (await membership.members()).length === 3);
  await until('a write', () => works(store, '/b'));
});

test('one that is lost is given another address while it is away', async () => {
  const store = open(members[0]!);
  await put(store, '/a');
  const lost = (await store.membership.members()).find(({ peerUrls }) => peerUrls.includes(members[2]!.peerUrl))!;
  await members[2]!.kill();
  const elsewhere = 'http://127.0.0.2:2380';
  await until('the change', () =>
    store.membership.move(lost.id, elsewhere).then(
      () => true,
      () => false,
    ),
  );
  const moved = (await store.membership.members()).find(({ id }) => id === lost.id);
  expect(moved?.peerUrls).toEqual([elsewhere]);
});

test('history is compacted and the file of one member made smaller', async () => {
  const store = open(members[0]!);
  const value = 'x'.repeat(2 ** 19);
  for (let i = 0; i < 20; i++) await store.txn([], [{ kind: 'put', key: '/big', value }]);
  const { revision } = (await store.get('/big'))!;
  await store.maintenance.compact(revision);
  await store.maintenance.compact(revision);
  const { url } = members[0]!;
  const before = await store.maintenance.memberStatus(url);
  await store.maintenance.defragment(url);
  const after = await store.maintenance.memberStatus(url);
  expect(after.dbSize).toBeLessThan(before.dbSize / 2);
  await store.maintenance.disarm();
  expect((await store.get('/big'))?.value).toBe(value);
});
