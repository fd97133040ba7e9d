import { expect, test } from 'vitest';
import { isBehindNat } from '../../../../src/agent/cluster/behind-nat.ts';
import { decodeNode } from '../../../../src/core/record-codec.ts';
import { PREFIX } from '../../../../src/core/records.ts';
import { ClusterFixture } from './cluster-fixture.ts';

const AGENT = { version: '0.3.0', levels: { from: 1, to: 3 } };

async function nodes(cluster: ClusterFixture) {
  const { entries } = await cluster.store.list(`${PREFIX}nodes/`);
  return entries.map(({ value }) => decodeNode(value)!);
}

async function found() {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found(AGENT);
  return { cluster, token };
}

test.each([
  ['one of its addresses', '10.0.0.2', false],
  ['a temporary one of IPv6, with its link', 'fe80::2%eth0', false],
  ['none of its addresses', '203.0.113.9', true],
])('where a request comes from: %s', (_, source, expected) => {
  expect(isBehindNat({ ownAddresses: ['10.0.0.2', 'fe80::2'] }, source)).toBe(expected);
  for (const nat of [true, false]) expect(isBehindNat({ nat, ownAddresses: ['10.0.0.2'] }, source)).toBe(nat);
});

test('an agent that says nothing of its addresses is taken for reachable', () => {
  expect(isBehindNat({ ownAddresses: [] }, '203.0.113.9')).toBe(false);
});

test('a host that the member sees come from elsewhere is a member behind NAT, and told so', async () => {
  const { cluster, token } = await found();
  cluster.seenFrom = '203.0.113.9';
  const { identity, warnings } = await cluster.host('n2', '192.168.1.2', AGENT).join(token);
  expect(identity.nat).toBe(true);
  expect(warnings.join()).toContain('sees it come from 203.0.113.9, which is no address of its own');
  expect((await nodes(cluster)).map(({ name, nat }) => [name, nat])).toEqual(
    expect.arrayContaining([
      ['n1', undefined],
      ['n2', true],
    ]),
  );
});

test('two behind NAT may have the same addresses, of another family than the members too; a member may not', async () => {
  const { cluster, token } = await found();
  cluster.seenFrom = '203.0.113.9';
  await cluster.host('n2', '192.168.1.2', AGENT).join(token);
  await cluster.host('n3', '192.168.1.2', AGENT).join(token);
  await cluster.host('n4', '10.0.0.1', AGENT).join(token, { nat: true });
  cluster.seenFrom = undefined;
  await cluster.host('n5', '192.168.1.2', AGENT).join(token, { nat: false });
  await expect(cluster.host('n6', '192.168.1.2', AGENT).join(token)).rejects.toThrow('belongs to node n5');
  expect(await nodes(cluster)).toHaveLength(5);
});

test('who says that it is not behind NAT is not', async () => {
  const { cluster, token } = await found();
  cluster.seenFrom = '203.0.113.9';
  const { identity } = await cluster.host('n2', '192.168.1.2', AGENT).join(token, { nat: false });
  expect(identity).not.toHaveProperty('nat');
  expect((await nodes(cluster)).some(({ nat }) => nat)).toBe(false);
});

test('one that joins again with the same key takes back that it is', async () => {
  const { cluster, token } = await found();
  const host = cluster.host('n2', '10.0.0.2', AGENT);
  await host.join(token, { nat: true });
  host.file.content = { version: 1, phase: 'pending', key: host.file.content!.key };
  expect((await host.join(token, { nat: false })).identity).not.toHaveProperty('nat');
  expect((await nodes(cluster)).find(({ name }) => name === 'n2')).not.toHaveProperty('nat');
});

test('a host behind NAT without WireGuard is refused with the package, also where it was found out', async () => {
  const { cluster, token } = await found();
  cluster.wireguard = undefined;
  const said = cluster.host('n2', '192.168.1.2', AGENT).join(token, { nat: true });
  await expect(said).rejects.toMatchObject({ code: 'tool-missing' });
  await expect(said).rejects.toThrow('apt install wireguard-go');
  cluster.seenFrom = '203.0.113.9';
  const foundOut = cluster.host('n2', '192.168.1.2', AGENT).join(token);
  await expect(foundOut).rejects.toThrow(/apt install wireguard-go.*join with --no-nat/);
  expect(await nodes(cluster)).toHaveLength(1);
});

test('a cluster that does not speak of encryption yet has no members behind NAT', async () => {
  const cluster = new ClusterFixture();
  const old = { version: '0.2.0', levels: { from: 1, to: 2 } };
  const { token } = await cluster.found(old);
  const refused = cluster.host('n2', '192.168.1.2', AGENT).join(token, { nat: true });
  await expect(refused).rejects.toMatchObject({ code: 'version-mismatch' });
  await expect(refused).rejects.toThrow('members behind NAT need an overlayd that speaks level 3');
});
