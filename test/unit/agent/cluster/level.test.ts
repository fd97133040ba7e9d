import { expect, test } from 'vitest';
import { insist, LevelWatch, raiseLevel } from '../../../../src/agent/cluster/level.ts';
import { committingAlone } from '../../../../src/agent/view/commit.ts';
import { type AgentVersion, levelOf, levelsOf, speaks } from '../../../../src/core/levels.ts';
import { decodeCluster, decodeNode, encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../../../src/core/records.ts';
import { parseToken } from '../../../../src/core/token.ts';
import type { ClusterStore } from '../../../../src/ports/store.ts';
import { toldView } from '../../../fixtures/told-view.ts';
import { MemoryEtcd } from '../../../sim/memory-store.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { ClusterFixture, FIRST_AGENT as OLD, pki } from './cluster-fixture.ts';

const NEW: AgentVersion = { version: '0.2.0', levels: { from: 1, to: 2 } };
const NEXT: AgentVersion = { version: '0.3.0', levels: { from: 2, to: 3 } };

const clusterRecord = async (cluster: ClusterFixture) => decodeCluster((await cluster.store.get(keys.cluster))!.value)!;
const nodes = async (cluster: ClusterFixture) =>
  (await cluster.store.list(`${PREFIX}nodes/`)).entries.map(({ value }) => decodeNode(value)!);

/** A member whose view is etcd as it is now. */
async function raise(
  cluster: ClusterFixture,
  agent = NEW,
  store: Pick<ClusterStore, 'get' | 'list'> = cluster.store,
  epoch?: string,
) {
  const { view, tell } = toldView();
  tell((await cluster.store.list(PREFIX)).entries);
  const { commit, logger } = cluster;
  await raiseLevel({ store, commit, logger, random: seededRandom(1), state: { view, epoch } }, agent);
}

test('a cluster begins with the highest level that its first node speaks, and each node says what it speaks', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found(NEXT);
  await cluster
    .host('n2', '10.0.0.2', NEW)
    .join(token)
    .catch(() => undefined);
  await cluster.host('n3', '10.0.0.3', NEXT).join(token);
  expect((await clusterRecord(cluster)).level).toBe(3);
  expect((await nodes(cluster)).map(({ version, levels }) => ({ version, levels }))).toEqual([NEXT, NEXT]);
});

test.each([
  ['an older one', OLD, 'overlayd 0.1.0, which speaks level 1', 'install a newer overlayd on this host'],
  [
    'a newer one',
    { version: '0.9.0', levels: { from: 3, to: 5 } },
    'levels 3 to 5',
    'install an older overlayd on this host',
  ],
])('a host that does not speak the level is refused in words: %s', async (_, agent, runs, mend) => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found(NEW);
  const refused = cluster.host('n2', '10.0.0.2', agent).join(token);
  await expect(refused).rejects.toMatchObject({ code: 'version-mismatch' });
  for (const text of [runs, mend, 'the cluster speaks level 2', 'the member that was asked runs overlayd 0.2.0'])
    await expect(refused).rejects.toThrow(text);
  expect(await nodes(cluster)).toHaveLength(1);
});

test('a joiner that says nothing of levels is of a release that had its records elsewhere', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found();
  const { id, secret } = parseToken(token);
  const request = {
    ...{ tokenId: id, tokenSecret: secret, nodeName: 'n2', advertiseAddress: '10.0.0.2', vtep: '10.0.0.2' },
    ...{ gossipPort: 7946, joinPort: 2377, dataPathPort: 4789, underlayMtu: 1500, labels: {}, version: '' },
    ...{ hostRoutes: [], linkRoutes: [], neededAddresses: [], nowMs: cluster.clock.now() },
    ...{ ownAddresses: [], wireguardBackend: '' },
  };
  const csr = await pki.createCsr(await pki.createKey());
  await expect(cluster.admit({ ...request, csr })).rejects.toThrow('overlayd of an older release');
  expect(await nodes(cluster)).toHaveLength(1);
});

test('a member that does not speak the level itself admits nobody', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found(NEW);
  cluster.agent = OLD;
  await expect(cluster.host('n2', '10.0.0.2', NEW).join(token)).rejects.toThrow(
    'the member that was asked cannot admit',
  );
});

/** A cluster at level 1 whose only member speaks 2 by now. */
async function upgraded() {
  const cluster = new ClusterFixture();
  const founded = await cluster.found();
  const [node] = await nodes(cluster);
  await cluster.store.txn([], [{ kind: 'put', key: keys.node(node!.id), value: encodeRecord({ ...node!, ...NEW }) }]);
  cluster.agent = NEW;
  return { cluster, ...founded };
}

test('of a host that joins and a level that rises at the same moment one yields: the level', async () => {
  const { cluster, token } = await upgraded();
  let joined = false;
  const store = {
    get: (key: string) => cluster.store.get(key),
    list: async (prefix: string) => {
      const answer = await cluster.store.list(prefix);
      if (!joined) await cluster.host('n2', '10.0.0.2', OLD).join(token);
      joined = true;
      return answer;
    },
  };
  await raise(cluster, NEW, store);
  expect(joined).toBe(true);
  expect(levelOf(await clusterRecord(cluster))).toBe(1);
});

test('of a host that joins and a level that rises at the same moment one yields: the host', async () => {
  const { cluster, token } = await upgraded();
  const { commit } = cluster;
  let raised = false;
  const deps = cluster.admitDeps();
  Object.assign(cluster, {
    admitDeps: () => ({
      ...deps,
      commit: async (...change: Parameters<typeof commit>) => {
        if (!raised) await raise(cluster);
        raised = true;
        return commit(...change);
      },
    }),
  });
  await expect(cluster.host('n2', '10.0.0.2', OLD).join(token)).rejects.toMatchObject({ code: 'version-mismatch' });
  expect(levelOf(await clusterRecord(cluster))).toBe(2);
  expect(await nodes(cluster)).toHaveLength(1);
});

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  'whatever comes when, every member speaks the level (seed %i)',
  async (seed) => {
    const { cluster, token } = await upgraded();
    const random = seededRandom(seed);
    const slow = new MemoryEtcd({ clock: cluster.clock }, { delayMs: () => Math.floor(random.next() * 5) });
    for (const { key, value } of (await cluster.store.list(PREFIX)).entries)
      slow.txn([], [{ kind: 'put', key, value }]);
    const store = slow.store('test');
    Object.assign(cluster, { etcd: slow, store, commit: committingAlone(store) });
    const later = async (task: () => Promise<unknown>) => {
      await cluster.clock.sleep(random.next() * 20);
      await task();
    };
    const hosts = [OLD, NEW, OLD].map((agent, i) => cluster.host(`h${i}`, `10.0.0.${i + 2}`, agent));
    const all = [
      ...hosts.map((host) => later(() => host.join(token))),
      later(() => raise(cluster)),
      later(() => raise(cluster)),
    ];
    await cluster.drive(Promise.allSettled(all));
    const record = decodeCluster(slow.entries(keys.cluster)[0]!.value)!;
    const members = slow.entries(`${PREFIX}nodes/`).map(({ value }) => decodeNode(value)!);
    expect(members.length).toBeGreaterThan(1);
    for (const member of members) expect(speaks(levelsOf(member), levelOf(record)), member.name).toBe(true);
  },
);

test('a step that another one is in the way of is tried again until it is taken, or nobody wants it any more', async () => {
  const { clock } = new ClusterFixture();
  const quit = new AbortController();
  let tries = 0;
  let takenAt = 3;
  const restart = async () => {
    tries += 1;
    if (tries < takenAt) throw new Error('busy');
  };
  await clock.until(insist(restart, { clock, signal: quit.signal }));
  expect(tries).toBe(3);
  takenAt = Number.POSITIVE_INFINITY;
  const ended = insist(restart, { clock, signal: quit.signal });
  await clock.advance(5_000);
  quit.abort();
  await clock.until(ended);
  expect(tries).toBeGreaterThan(5);
});

test.each([
  ['of a level that etcd does not say otherwise', 'not json', false],
  ['of a level that etcd says as well', '{"level":2}', false],
  ['of a level, and etcd was restored to a lower one', undefined, true],
])('an agent does not start that remembers another level: %s', async (_, value, starts) => {
  const cluster = new ClusterFixture();
  await cluster.found();
  if (value !== undefined) await cluster.store.txn([], [{ kind: 'put', key: keys.cluster, value }]);
  const memory = { height: 1, behind: false, level: 2 };
  const { view } = toldView();
  const deps = { store: cluster.store, state: { view, memory }, remember: async () => undefined };
  const watch = new LevelWatch({ ...deps, onUnspoken: () => undefined }, OLD);
  if (starts) await watch.require(memory);
  else await expect(watch.require(memory)).rejects.toMatchObject({ code: 'version-mismatch' });
});

test('a cluster gets its first epoch with the level that has them, later than what this node followed before', async () => {
  const cluster = new ClusterFixture();
  const upTo = (to: number): AgentVersion => ({ version: '0.4.0', levels: { from: 1, to } });
  await cluster.found(upTo(3));
  expect((await clusterRecord(cluster)).epoch).toBeUndefined();
  const [node] = await nodes(cluster);
  const record = encodeRecord({ ...node!, ...upTo(4) });
  await cluster.store.txn([], [{ kind: 'put', key: keys.node(node!.id), value: record }]);
  await raise(cluster, upTo(4), cluster.store, '5-00000000000000e5');
  expect(await clusterRecord(cluster)).toMatchObject({ level: 4, epoch: expect.stringMatching(/^6-[0-9a-f]{16}$/) });
});
