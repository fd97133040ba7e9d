/** etcd's users while keepers set them up: nobody is locked out, wherever one of them ends. */
import { beforeEach, describe, expect, it } from 'vitest';
import { UserKeeping, type UserKeepingDeps } from '../../src/agent/store/users.ts';
import { committingAlone } from '../../src/agent/view/commit.ts';
import { keys, type NodeRecord } from '../../src/core/records.ts';
import { MEMBER_ROLE, nodeRole, ROOT } from '../../src/core/store-rights.ts';
import type { StoreUsers } from '../../src/ports/store.ts';
import { nodeRecord } from '../fixtures/records.ts';
import { toldView } from '../fixtures/told-view.ts';
import { MemoryEtcd } from './memory-store.ts';
import { silent } from './simulated-cluster.ts';
import { VirtualClock } from './virtual-clock.ts';

let clock: VirtualClock;
let etcd: MemoryEtcd;
let cut: string[][];
let revoked: readonly string[] | undefined;
let voters: readonly string[];
let told: ReturnType<typeof toldView>;

const put = (key: string, record: object) => {
  const value = JSON.stringify(record);
  etcd.txn([], [{ kind: 'put', key, value }]);
  told.tell([{ key, value }]);
};
const node = (id: string, parts: Partial<NodeRecord> = {}) =>
  put(keys.node(id), nodeRecord({ id, name: `host-${id}`, vtep: `192.0.2.${id.slice(1)}`, ...parts }));

beforeEach(() => {
  cut = [];
  revoked = undefined;
  voters = [];
  clock = new VirtualClock();
  etcd = new MemoryEtcd({ clock });
  told = toldView();
  put(keys.cluster, { id: 'c', caCertificate: '', pools: [], vniRange: [4096, 4097], createdAt: 1, level: 4 });
  put(keys.storeKeepers, { nodeIds: ['n1', 'n2'] });
  for (const id of ['n1', 'n2', 'n3']) node(id);
});

function keeping(selfId: string, parts: Partial<UserKeepingDeps> = {}): UserKeeping {
  const store = etcd.store(selfId);
  return new UserKeeping({
    ...{ selfId, users: store.users, store, view: () => told.view, isFollowed: () => true, clock, logger: silent },
    members: async () => voters.map((name) => ({ id: name, name, isLearner: false, peerUrls: [], clientUrls: [] })),
    cutOff: async (addresses) => cut.push([...addresses]),
    commit: committingAlone(store),
    onRevoked: (serials) => {
      revoked = serials;
    },
    ...parts,
  });
}

/** Whether that node can write its own record, and another's. */
const writes = (id: string, key = keys.live(id)) =>
  etcd
    .store(id)
    .txn([], [{ kind: 'put', key, value: '{}' }])
    .then(
      () => true,
      () => false,
    );
const rolesOf = (id: string) => [...(etcd.access.users.get(id) ?? [])].sort();

describe('users of etcd', () => {
  it('are there for each node, and root for those that keep the store', async () => {
    await keeping('n1').step();
    expect(rolesOf('n3')).toEqual([MEMBER_ROLE, nodeRole('n3')]);
    expect(rolesOf('n2')).toEqual([MEMBER_ROLE, nodeRole('n2'), ROOT]);
    expect(rolesOf(ROOT)).toEqual([ROOT]);
    expect(etcd.access.enabled).toBe(true);
    expect([await writes('n3'), await writes('n3', keys.live('n1')), await writes('n3', keys.cluster)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(await writes('n2', keys.token('t'))).toBe(true);
    expect(await writes('stranger')).toBe(false);
  });

  it('of a node that is about to keep the store have the rights for it before it does', async () => {
    const one = keeping('n1');
    await one.step();
    await one.trust({ id: 'n3', name: 'host-n3' });
    expect(await writes('n3', keys.token('t'))).toBe(true);
    put(keys.storeChange, { kind: 'add', nodeId: 'n3', votes: true, why: '', by: 'n1', startedAt: 1 });
    await keeping('n2').step();
    expect(await writes('n3', keys.token('t'))).toBe(true);
    etcd.txn([], [{ kind: 'delete', key: keys.storeChange }]);
    await keeping('n2').step();
    expect(await writes('n3', keys.token('t'))).toBe(false);
  });

  it('lock nobody out, at whatever call the keeper ends, and another goes on', async () => {
    for (let calls = 0; ; calls++) {
      etcd = new MemoryEtcd({ clock });
      for (const { key, value } of entries()) etcd.txn([], [{ kind: 'put', key, value }]);
      const ended = await keeping('n1', { users: endingAfter(calls, etcd.store('n1').users) })
        .step()
        .then(
          () => false,
          () => true,
        );
      for (const id of ['n1', 'n2', 'n3']) expect(await writes(id), `${id} after ${calls}`).toBe(true);
      await keeping('n2').step();
      expect(etcd.access.enabled).toBe(true);
      for (const id of ['n1', 'n2', 'n3']) expect(await writes(id)).toBe(true);
      if (!ended) break;
      expect(calls).toBeLessThan(100);
    }
  });

  it('come before whoever joins is answered, and are not taken for those of one that is gone', async () => {
    const one = keeping('n1');
    await one.step();
    node('n4');
    await one.admit({ id: 'n4', name: 'host-n4' });
    expect(await writes('n4')).toBe(true);
    await keeping('n2').step();
    expect(await writes('n4')).toBe(true);
  });

  it('go with their node, also where the one that removed it ended', async () => {
    await keeping('n1').step();
    etcd.txn([], [{ kind: 'delete', key: keys.node('n3') }]);
    await keeping('n2').step();
    expect(await writes('n3')).toBe(false);
    expect(etcd.access.roles.has(nodeRole('n3'))).toBe(false);
  });

  it('of a node that leaves stay until it has given back what it held, and not for ever', async () => {
    const one = keeping('n1');
    await one.step();
    // It looks for what it holds after it has said that it leaves: until then nobody knows.
    node('n3', { left: true });
    for (const keeper of [one, keeping('n2')]) await keeper.step();
    expect(await writes('n3', `${keys.endpointsOf('n3')}e1`)).toBe(true);
    expect(cut).toEqual([]);
    await clock.advance(59_000);
    await one.step();
    expect(await writes('n3')).toBe(true);
    await clock.advance(1_000);
    await one.step();
    expect(await writes('n3')).toBe(false);
    await one.step();
    expect(etcd.access.users.has('n3')).toBe(false);
  });

  it('of a node that leaves once more, having been a member again meanwhile, stay as long as the first time', async () => {
    const one = keeping('n1');
    await one.step();
    for (const left of [true, false]) {
      node('n3', { left });
      await one.step();
      await clock.advance(40_000);
    }
    node('n3', { left: true });
    await one.step();
    expect(await writes('n3')).toBe(true);
  });

  it('of a node that others remove go at once, though it had begun to leave', async () => {
    const one = keeping('n1');
    await one.step();
    node('n3', { left: true });
    await one.step();
    node('n3', { left: true, removed: true });
    await one.step();
    expect(await writes('n3')).toBe(false);
  });

  it('leave no connection behind: each keeper cuts off who is gone, and not who has its place by now', async () => {
    node('n3', { advertiseAddress: '192.0.2.33' });
    node('n4', { advertiseAddress: '192.0.2.44', nat: true });
    const keepers = [keeping('n1'), keeping('n2')];
    for (const each of keepers) await each.step();
    expect(cut).toEqual([]);
    for (const id of ['n3', 'n4']) etcd.txn([], [{ kind: 'delete', key: keys.node(id) }]);
    for (const each of keepers) await each.step();
    expect(cut).toEqual([
      ['192.0.2.33', '192.0.2.3'],
      ['192.0.2.33', '192.0.2.3'],
    ]);
    node('n5', { advertiseAddress: '192.0.2.55' });
    for (const each of keepers) await each.step();
    etcd.txn([], [{ kind: 'delete', key: keys.node('n5') }]);
    node('n6', { advertiseAddress: '192.0.2.55' });
    await keepers[0]!.step();
    expect(cut.slice(2)).toEqual([['192.0.2.5']]);
  });

  it('come again with a node that was removed by another keeper, and is admitted once more', async () => {
    const [one, two] = [keeping('n1'), keeping('n2')];
    await one.step();
    await two.revoke('n3');
    await one.admit({ id: 'n3', name: 'host-n3' });
    expect(await writes('n3')).toBe(true);
    await two.revoke('n3');
    await one.step();
    expect(await writes('n3')).toBe(true);
  });

  it('and certificates: what was made for a node that is gone is refused by etcd, also where it left by itself', async () => {
    put(keys.cluster, { id: 'c', caCertificate: '', pools: [], vniRange: [4096, 4097], createdAt: 1, level: 5 });
    const issued = (serial: string) => ({ issued: [{ serial, notAfter: clock.now() + 90 * 86_400_000 }] });
    for (const [id, serial] of [
      ['n2', '22'],
      ['n3', '33'],
    ] as const)
      put(keys.certificates(id), issued(serial));
    const [one, two] = [keeping('n1'), keeping('n2')];
    await one.step();
    expect(revoked).toEqual([]);
    await two.revoke('n3');
    await one.step();
    expect(revoked).toEqual(['33']);
    etcd.txn([], [{ kind: 'delete', key: keys.node('n2') }]);
    await one.step();
    expect(revoked).toEqual(['22', '33']);
    expect(await writes('n3', keys.certificates('n3'))).toBe(false);
    await clock.advance(121 * 86_400_000);
    await one.step();
    expect(revoked).toEqual([]);
    // Nobody takes them any more: what was written down of who is gone goes.
    const { entries: kept } = await etcd.store('n1').list(keys.allCertificates);
    expect(kept.map(({ key }) => key)).toEqual([keys.certificates('n3')]);
  });

  it('and certificates: those of a node whose etcd votes are taken until it does not', async () => {
    put(keys.cluster, { id: 'c', caCertificate: '', pools: [], vniRange: [4096, 4097], createdAt: 1, level: 5 });
    put(keys.certificates('n2'), { issued: [{ serial: '22', notAfter: clock.now() + 90 * 86_400_000 }] });
    voters = ['n1', 'n2'];
    const one = keeping('n1');
    await one.step();
    etcd.txn([], [{ kind: 'delete', key: keys.node('n2') }]);
    await one.step();
    expect([revoked, await writes('n2')]).toEqual([[], false]);
    const held = await etcd.store('n1').get(keys.certificates('n2'));
    expect(JSON.parse(held!.value).issued).toMatchObject([{ serial: '22', revoked: true }]);
    voters = ['n1'];
    await one.step();
    expect(revoked).toEqual(['22']);
  });

  it('and certificates: those of a node that went before there were users are refused as well', async () => {
    put(keys.cluster, { id: 'c', caCertificate: '', pools: [], vniRange: [4096, 4097], createdAt: 1, level: 5 });
    put(keys.certificates('n9'), { issued: [{ serial: '99', notAfter: clock.now() + 86_400_000 }] });
    put(keys.certificates('n3'), { issued: [{ serial: '33', notAfter: clock.now() + 86_400_000 }] });
    await keeping('n1').step();
    expect(revoked).toEqual(['99']);
  });

  it('and certificates: those of a node that is gone are refused also where the one that removed it ended before', async () => {
    put(keys.cluster, { id: 'c', caCertificate: '', pools: [], vniRange: [4096, 4097], createdAt: 1, level: 5 });
    await keeping('n1').step();
    put(keys.certificates('n3'), { issued: [{ serial: '33', notAfter: clock.now() + 90 * 86_400_000 }] });
    etcd.txn([], [{ kind: 'delete', key: keys.node('n3') }]);
    const commit = () => Promise.reject(new Error('the agent ended'));
    await expect(keeping('n1', { commit }).revoke('n3')).rejects.toThrow('the agent ended');
    await keeping('n2').step();
    expect(revoked).toEqual(['33']);
    expect(etcd.access.roles.has(nodeRole('n3'))).toBe(false);
  });

  it('follow who keeps the store, and a name that changes', async () => {
    const one = keeping('n1');
    await one.step();
    put(keys.storeKeepers, { nodeIds: ['n1', 'n3'] });
    node('n3', { name: 'other' });
    await one.step();
    expect([await writes('n2', keys.cluster), await writes('n3', keys.cluster)]).toEqual([false, true]);
    expect(etcd.access.roles.get(nodeRole('n3'))?.map(({ key }) => key)).toContain(keys.nodeName('other'));
  });

  it('of a node that cannot be read stay', async () => {
    await keeping('n1').step();
    etcd.txn([], [{ kind: 'put', key: keys.node('n3'), value: 'newer' }]);
    await keeping('n2').step();
    expect(await writes('n3')).toBe(true);
  });

  it('are nobody’s affair where the cluster does not speak of them', async () => {
    put(keys.cluster, { id: 'c', caCertificate: '', pools: [], vniRange: [4096, 4097], createdAt: 1, level: 3 });
    const one = keeping('n1');
    await one.admit({ id: 'n3', name: 'host-n3' });
    await one.revoke('n3');
    const quit = new AbortController();
    const running = one.run(quit.signal);
    await clock.advance(5_000);
    quit.abort();
    await clock.until(running);
    expect([...etcd.access.users.keys()]).toEqual([]);
    expect(etcd.access.enabled).toBe(false);
  });
});

/** What the cluster began with. */
function entries() {
  const all = ['n1', 'n2', 'n3'].map((id) => [keys.node(id), nodeRecord({ id, name: `host-${id}` })] as const);
  return [...all, [keys.storeKeepers, { nodeIds: ['n1', 'n2'] }] as const].map(([key, record]) => ({
    ...{ key, value: JSON.stringify(record) },
  }));
}

function endingAfter(calls: number, users: StoreUsers): StoreUsers {
  let left = calls;
  const ending =
    (call: (...asked: never[]) => Promise<unknown>) =>
    async (...asked: never[]) => {
      if (left-- === 0) throw new Error('the agent ended');
      return call(...asked);
    };
  const all = Object.entries(users) as [string, (...asked: never[]) => Promise<unknown>][];
  return Object.fromEntries(all.map(([name, call]) => [name, ending(call)])) as unknown as StoreUsers;
}
