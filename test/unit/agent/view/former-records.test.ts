import { expect, test } from 'vitest';
import { FORMER_PREFIX, keys } from '../../../../src/core/records.ts';
import { ClusterFixture, INIT } from '../cluster/cluster-fixture.ts';

const FORMER = { kind: 'put', key: `${FORMER_PREFIX}cluster`, value: '{"id":"old"}' } as const;
const SAID = {
  code: 'version-mismatch',
  message: expect.stringMatching(
    /records of a cluster of an older overlayd \(below \/overlayd\/v1\/\).*install the release that made it.*overlayd leave --force.*etcdctl del --prefix \/overlayd\/v1\//,
  ),
};

test.each([
  ['an etcd of one’s own', INIT.etcdEndpoints],
  ['the etcd of this host', []],
])('init finds them in %s, says what to do, and writes nothing', async (_, etcdEndpoints) => {
  const cluster = new ClusterFixture();
  await cluster.store.txn([], [FORMER]);
  await expect(cluster.host('n1', '10.0.0.1').init({ etcdEndpoints })).rejects.toMatchObject(SAID);
  expect(cluster.etcd.entries('/').map(({ key }) => key)).toEqual([FORMER.key]);
});

test('a host that wants to join is told so by a member whose etcd holds nothing else', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found();
  cluster.etcd.wipe();
  await cluster.store.txn([], [FORMER]);
  await expect(cluster.host('n2', '10.0.0.2').join(token)).rejects.toMatchObject(SAID);
});

test('a host that a member of such a release let in is told so', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found();
  const host = cluster.host('n2', '10.0.0.2');
  const { join } = host.deps.joinClient;
  host.deps.joinClient = {
    ...host.deps.joinClient,
    join: async (...asked) => {
      const response = await join(...asked);
      cluster.etcd.wipe();
      await cluster.store.txn([], [FORMER]);
      return response;
    },
  };
  expect((await host.join(token)).warnings).toEqual([
    expect.stringMatching(/^this host is a member now, but: etcd holds/),
  ]);
});

test('what is left of them beside this release’s own is no matter', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found();
  await cluster.store.txn([], [FORMER]);
  await cluster.host('n2', '10.0.0.2').join(token);
  expect(await cluster.store.get(keys.nodeName('n2'))).toBeDefined();
});
