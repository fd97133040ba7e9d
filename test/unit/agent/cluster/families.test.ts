/** Hosts of one family in a cluster of the other, and of both. */
import { expect, test } from 'vitest';
import { decodeNode, encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../../../src/core/records.ts';
import { ClusterFixture, hostFacts, tokenOf } from './cluster-fixture.ts';

const SECOND = { version: '0.2.0', levels: { from: 1, to: 2 } };

async function foundAt(address: string, agent = SECOND) {
  const cluster = new ClusterFixture();
  const host = cluster.host('n1', address, agent);
  const { identity, joinCommand } = await host.init();
  cluster.member = identity;
  cluster.agent = agent;
  const target = joinCommand.split(' ').at(-1)!;
  return { cluster, identity, token: tokenOf(joinCommand), target };
}

const BOTH = [
  ['eth0', '10.0.0.2'],
  ['eth0', '2001:db8::2'],
] as const;

test('hosts of IPv6 alone join each other', async () => {
  const { cluster, token, target } = await foundAt('2001:db8::1');
  expect(target).toBe('[2001:db8::1]:2377');
  const host = cluster.host('n2', '2001:db8::2', SECOND);
  const { identity, warnings } = await host.join(token, { address: target });
  expect(warnings).toEqual([]);
  expect(host.steps).toContain('asking [2001:db8::1]:2377 for admission');
  const record = decodeNode((await cluster.store.get(keys.node(identity.nodeId)))!.value);
  expect(record).toMatchObject({ advertiseAddress: '2001:db8::2', vtep: '2001:db8::2' });
});

test.each([
  ['10.0.0.1', '2001:db8::2', 'IPv6', 'IPv4'],
  ['2001:db8::1', '10.0.0.2', 'IPv4', 'IPv6'],
])('a member at %s lets no host at %s in, and says which address it takes', async (first, second, own, theirs) => {
  const { cluster, token } = await foundAt(first);
  const refused = cluster.host('n2', second, SECOND).join(token);
  await expect(refused).rejects.toMatchObject({
    code: 'invalid-address',
    message: `members would reach this host at ${second}, which is ${own}, and this cluster does so by ${theirs} (n1 at ${first}): all members need addresses of one family; join with --advertise-addr and an ${theirs} address of this host`,
  });
  expect((await cluster.store.list(`${PREFIX}nodes/`)).entries).toHaveLength(1);
});

test('so it is with addresses for containers’ traffic', async () => {
  const { cluster, token } = await foundAt('10.0.0.1');
  const host = cluster.host('n2', '10.0.0.2', SECOND);
  host.deps.facts = hostFacts('n2', BOTH);
  const refused = host.join(token, { advertiseAddr: '10.0.0.2', dataPathAddr: '2001:db8::2' });
  await expect(refused).rejects.toThrow(
    "containers' traffic would reach this host at 2001:db8::2, which is IPv6, and this cluster does so by IPv4 (n1 at 10.0.0.1): all members need addresses of one family; join with --data-path-addr and an IPv4",
  );
});

test('a host of both is known by an address of the family that it calls a member at', async () => {
  for (const [first, own] of [
    ['2001:db8::1', '2001:db8::2'],
    ['10.0.0.1', '10.0.0.2'],
  ] as const) {
    const { cluster, token, target } = await foundAt(first);
    const host = cluster.host('n2', '', SECOND);
    host.deps.facts = hostFacts('n2', BOTH);
    expect((await host.join(token, { address: target })).identity).toMatchObject({ advertiseAddress: own, vtep: own });
  }
});

test('a cluster that speaks level 1 has no member with an address of IPv6', async () => {
  const { cluster, identity, token, target } = await foundAt('2001:db8::1');
  const entry = (await cluster.store.get(keys.cluster))!;
  const put = (key: string, record: object) =>
    cluster.store.txn([], [{ kind: 'put', key, value: encodeRecord(record) }]);
  await put(keys.cluster, { ...JSON.parse(entry.value), level: 1 });
  const node = decodeNode((await cluster.store.get(keys.node(identity.nodeId)))!.value)!;
  await put(keys.node(identity.nodeId), { ...node, version: '0.1.0', levels: { from: 1, to: 1 } });
  await expect(cluster.host('n2', '2001:db8::2', SECOND).join(token, { address: target })).rejects.toMatchObject({
    code: 'version-mismatch',
    message: expect.stringContaining(
      'members with addresses of IPv6 need an overlayd that speaks level 2 on every host: upgrade it on n1 (0.1.0)',
    ),
  });
});
