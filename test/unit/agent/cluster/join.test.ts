import { expect, test } from 'vitest';
import { parseTarget } from '../../../../src/agent/cluster/join.ts';
import { createJoinToken, listTokens, revokeToken } from '../../../../src/agent/cluster/tokens.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { decodeNode, decodeToken, encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../../../src/core/records.ts';
import { parseToken } from '../../../../src/core/token.ts';
import type { JoinRequest } from '../../../../src/ports/join.ts';
import { networkRecord } from '../../../fixtures/records.ts';
import { unknownIn, withUnknown } from '../../../fixtures/unknown-fields.ts';
import { ClusterFixture, hostFacts, pki, random, tokenOf } from './cluster-fixture.ts';

async function createCluster() {
  const cluster = new ClusterFixture();
  const founder = await cluster.found();
  const createToken = async (uses: number, ttlMs = 0) => {
    const deps = { ...cluster, random, pki };
    return (await createJoinToken(deps, founder.identity, { uses, ttlMs })).token;
  };
  const usesLeft = async (token: string) =>
    decodeToken((await cluster.store.get(keys.token(parseToken(token).id)))!.value)!.usesLeft;
  const nodeNames = async () => {
    const { entries } = await cluster.store.list(`${PREFIX}nodes/`);
    return entries.map(({ value }) => decodeNode(value)!.name).sort();
  };
  return { ...founder, cluster, createToken, usesLeft, nodeNames };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    ({ code }) => code,
  );

test('a host joins and has what it needs', async () => {
  const { cluster, identity, token } = await createCluster();
  const host = cluster.host('n2', '10.0.0.2');
  const outcome = await host.join(token, { labels: { rack: 'r1' } });
  expect(outcome.warnings).toEqual([]);
  expect(outcome.identity).toMatchObject({
    clusterId: identity.clusterId,
    caCertificate: identity.caCertificate,
    caKey: identity.caKey,
    name: 'n2',
    store: { endpoints: identity.store.endpoints, bundled: false },
  });
  expect(host.file.content).toEqual(outcome.identity);
  const record = decodeNode((await cluster.store.get(keys.node(outcome.identity.nodeId)))!.value)!;
  expect(record).toMatchObject({ advertiseAddress: '10.0.0.2', labels: { rack: 'r1' }, left: false });
  expect(record.keyFingerprint).toBe(pki.readCertificate(outcome.identity.certificate).fingerprint);
});

test('every member can admit further ones', async () => {
  const { cluster, token, nodeNames } = await createCluster();
  cluster.member = (await cluster.host('n2', '10.0.0.2').join(token)).identity;
  await cluster.host('n3', '10.0.0.3').join(token);
  expect(await nodeNames()).toEqual(['n1', 'n2', 'n3']);
});

test('the answer lost on its way costs no second use and makes no second node', async () => {
  const { cluster, createToken, usesLeft, nodeNames } = await createCluster();
  const token = await createToken(1);
  const host = cluster.host('n2', '10.0.0.2');
  const { join } = host.deps.joinClient;
  host.deps.joinClient = {
    ...host.deps.joinClient,
    join: async (...args) => {
      await join(...args);
      throw new OverlaydError('peer-unreachable', 'cut off', { retryable: true });
    },
  };
  expect(await codeOf(host.join(token))).toBe('peer-unreachable');
  expect(host.file.content?.phase).toBe('pending');
  host.deps.joinClient = { ...host.deps.joinClient, join };
  await host.join(token);
  expect(await usesLeft(token)).toBe(0);
  expect(await nodeNames()).toEqual(['n1', 'n2']);
});

test('a repeat with corrected options replaces what the first attempt said, with a token that is used up', async () => {
  const { cluster, createToken, usesLeft } = await createCluster();
  const token = await createToken(1);
  const host = cluster.host('n2', '10.0.0.2');
  host.deps.facts = hostFacts('n2', [
    ['eth0', '192.168.9.2'],
    ['eth1', '10.0.0.2'],
  ]);
  host.deps.joinClient = {
    ...cluster.joinClient,
    join: async (...args) => {
      await cluster.joinClient.join(...args);
      throw new OverlaydError('peer-unreachable', 'no answer');
    },
  };
  const wrong = { advertiseAddr: '192.168.9.2', name: 'wrong' };
  expect(await codeOf(host.join(token, wrong))).toBe('peer-unreachable');
  host.deps.joinClient = cluster.joinClient;
  expect(await codeOf(host.join(token, { advertiseAddr: '10.0.0.2', name: 'n1' }))).toBe('node-name-taken');

  const right = { advertiseAddr: '10.0.0.2', name: 'right', gossipPort: 7950, labels: { rack: 'a' } };
  const { identity } = await host.join(token, right);
  const record = decodeNode((await cluster.store.get(keys.node(identity.nodeId)))!.value);
  expect(record).toMatchObject({ advertiseAddress: '10.0.0.2', vtep: '10.0.0.2', name: 'right', gossipPort: 7950 });
  expect(record).toMatchObject({ labels: { rack: 'a' } });
  expect(await cluster.store.get(keys.nodeName('wrong'))).toBeUndefined();
  expect((await cluster.store.get(keys.nodeName('right')))?.value).toBe(identity.nodeId);
  expect(await usesLeft(token)).toBe(0);
});

test.each(['silent', 'reply-lost'] as const)(
  'the member losing etcd (%s) during the admission is repaired by a repeat',
  async (fault) => {
    const { cluster, createToken, usesLeft } = await createCluster();
    const token = await createToken(1);
    const host = cluster.host('n2', '10.0.0.2');
    const txn = cluster.store.txn.bind(cluster.store);
    cluster.store.txn = async (...args) => {
      cluster.store.cut(fault);
      return txn(...args);
    };
    expect(await codeOf(cluster.drive(host.join(token)))).toBe('store-unavailable');
    cluster.store.heal();
    cluster.store.txn = txn;
    await host.join(token);
    expect(await usesLeft(token)).toBe(0);
  },
);

test('a host is told when it joins that a network has taken what it needs', async () => {
  const { cluster, token } = await createCluster();
  const network = networkRecord({ subnets: [{ cidr: '10.0.9.0/24', gateway: '10.0.9.1', auxAddresses: {} }] });
  await cluster.store.txn([], [{ kind: 'put', key: keys.network(network.id), value: encodeRecord(network) }]);
  const host = cluster.host('n2', '10.0.0.2');
  host.deps.facts = { ...host.deps.facts, nameServers: async () => ['10.0.9.53'] };
  expect((await host.join(token)).warnings).toEqual([
    expect.stringContaining('network web (10.0.9.0/24) covers 10.0.9.53, a name server of host n2'),
  ]);
});

test('a token for three admits exactly three of eight that join at once', async () => {
  const { cluster, createToken, nodeNames, usesLeft } = await createCluster();
  const token = await createToken(3);
  const codes = await Promise.all(
    Array.from({ length: 8 }, (_, i) => codeOf(cluster.host(`m${i}`, `10.0.1.${i}`).join(token))),
  );
  expect(codes.filter((code) => code === 'done')).toHaveLength(3);
  expect(codes.filter((code) => code === 'token-used')).toHaveLength(5);
  expect(await nodeNames()).toHaveLength(4);
  expect(await usesLeft(token)).toBe(0);
});

test('of two hosts of one name that join at once, one is told', async () => {
  const { cluster, token, nodeNames } = await createCluster();
  const codes = await Promise.all(
    ['10.0.0.2', '10.0.0.3'].map((address) => codeOf(cluster.host('n2', address).join(token))),
  );
  expect(codes.sort()).toEqual(['done', 'node-name-taken']);
  expect(await nodeNames()).toEqual(['n1', 'n2']);
});

test('an expired, a revoked, an unknown and a wrong token are four different answers', async () => {
  const { cluster, createToken, token: good } = await createCluster();
  const host = cluster.host('n2', '10.0.0.2');
  const expiring = await createToken(0, 60_000);
  const revoked = await createToken(0);
  await revokeToken(cluster, parseToken(revoked).id.slice(0, 6));
  await cluster.clock.advance(60_000);
  await expect(host.join(expiring)).rejects.toThrow(/expired at .*Z; make a new one with `overlayd token create`/);
  await expect(host.join(revoked)).rejects.toThrow(/was revoked at .*Z/);
  const wrongSecret = good.replace(/.$/, (c) => (c === '0' ? '1' : '0'));
  await expect(host.join(wrongSecret)).rejects.toThrow(/does not know the token/);
  await expect(host.join(good.slice(0, -3))).rejects.toThrow(/cut short: 3 characters/);
  expect(await codeOf(host.join(expiring))).toBe('token-expired');
  expect(await codeOf(host.join(revoked))).toBe('token-invalid');
});

test('a clock that is off is told with both times', async () => {
  const { cluster, token } = await createCluster();
  const host = cluster.host('n2', '10.0.0.2');
  const rest = { sleep: (ms: number) => cluster.clock.sleep(ms), elapsed: () => cluster.clock.elapsed() };
  host.deps.clock = { ...rest, now: () => cluster.clock.now() - 61_000 };
  await expect(host.join(token)).rejects.toThrow(/clock says .*Z, the member's says .*Z: 61 s behind/);
  host.deps.clock = { ...rest, now: () => cluster.clock.now() + 60_000 };
  expect(await codeOf(host.join(token))).toBe('done');
});

test('a name or data path address in use is refused and its holder named', async () => {
  const { cluster, token } = await createCluster();
  const taken = cluster.host('n1', '10.0.0.2').join(token);
  await expect(taken).rejects.toThrow(
    /name n1 is taken by node [0-9a-f]{12} at 10\.0\.0\.1; choose another with --name/,
  );
  await expect(cluster.host('n2', '10.0.0.1').join(token)).rejects.toThrow(/10\.0\.0\.1 belongs to node n1/);
});

test('a request that makes no sense is refused before the token is used', async () => {
  const { cluster, createToken, usesLeft } = await createCluster();
  const token = await createToken(1);
  const { id, secret } = parseToken(token);
  const request: JoinRequest = {
    tokenId: id,
    tokenSecret: secret,
    csr: await pki.createCsr(await pki.createKey()),
    nodeName: 'n2',
    advertiseAddress: '10.0.0.2',
    gossipPort: 7946,
    joinPort: 2377,
    vtep: '10.0.0.2',
    dataPathPort: 4789,
    underlayMtu: 1500,
    hostRoutes: [],
    linkRoutes: [],
    neededAddresses: [],
    labels: {},
    nowMs: cluster.clock.now(),
    version: '',
    ownAddresses: [],
    wireguardBackend: '',
  };
  expect(await codeOf(cluster.admit({ ...request, csr: 'x' }))).toBe('invalid-argument');
  expect(await codeOf(cluster.admit({ ...request, nodeName: '../etc' }))).toBe('invalid-name');
  for (const vtep of ['::1', 'fe80::1', 'ff02::1', '10.0.0.0.2', '2001:DB8::2', '::ffff:10.0.0.2'])
    expect(await codeOf(cluster.admit({ ...request, vtep }))).toBe('invalid-address');
  expect(await codeOf(cluster.admit({ ...request, gossipPort: 0 }))).toBe('invalid-argument');
  expect(await codeOf(cluster.admit({ ...request, nowMs: Number.NaN }))).toBe('clock-skew');
  expect(await codeOf(cluster.admit({ ...request, tokenId: '.' }))).toBe('token-invalid');
  expect(await usesLeft(token)).toBe(1);
});

test('every attempt leaves a line in the log, without the secret', async () => {
  const { cluster, token } = await createCluster();
  await cluster.host('n2', '10.0.0.2').join(token);
  await codeOf(cluster.host('n1', '10.0.0.3').join(token));
  const lines = cluster.log.filter(({ message }) => message.startsWith('join'));
  expect(lines.map(({ message, fields }) => [message, fields.name, fields.code])).toEqual([
    ['join admitted', 'n2', undefined],
    ['join refused', 'n1', 'node-name-taken'],
  ]);
  expect(lines[1]!.fields).toMatchObject({ from: '10.0.0.3:40000', tokenId: parseToken(token).id });
  expect(JSON.stringify(cluster.log)).not.toContain(parseToken(token).secret);
});

test('whoever tries tokens does not fill the log', async () => {
  const { cluster, token } = await createCluster();
  const refused = () => cluster.log.filter(({ message }) => message === 'join refused');
  for (let i = 0; i < 50; i++) await codeOf(cluster.host('n1', '10.0.0.3').join(token));
  expect(refused()).toHaveLength(10);
  await cluster.clock.advance(60_000);
  await codeOf(cluster.host('n1', '10.0.0.3').join(token));
  expect(refused().at(-1)!.fields).toMatchObject({ refusedBefore: 40 });
});

test('what cannot be reached after the admission is told with the port', async () => {
  const { cluster, token } = await createCluster();
  cluster.closed.add('10.0.0.1:7946');
  const { warnings } = await cluster.host('n2', '10.0.0.2').join(token);
  expect(warnings).toEqual(['members cannot be reached on their gossip port: no answer from 10.0.0.1:7946']);
  const cut = cluster.host('n3', '10.0.0.3');
  cut.store.cut('refusing');
  expect((await cut.join(token)).warnings[0]).toMatch(/is a member now, but: .*until etcd is reached/);
});

test('tokens are listed without the revoked ones and purged a week after their end', async () => {
  const { cluster, createToken } = await createCluster();
  const old = parseToken(await createToken(0, 60_000)).id;
  const revoked = parseToken(await createToken(0)).id;
  await revokeToken(cluster, revoked);
  await expect(revokeToken(cluster, revoked)).rejects.toMatchObject({ code: 'token-not-found' });
  const ids = (await listTokens(cluster.store)).map(({ id }) => id);
  expect(ids).toContain(old);
  expect(ids).not.toContain(revoked);
  await cluster.clock.advance(8 * 86_400_000);
  await createToken(1);
  expect(await cluster.store.get(keys.token(old))).toBeUndefined();
  expect(await cluster.store.get(keys.token(revoked))).toBeUndefined();
});

test.each([
  ['10.0.0.1', { host: '10.0.0.1', port: 2377 }],
  ['host1.example:99', { host: 'host1.example', port: 99 }],
  ['[fd00::1]:2378', { host: 'fd00::1', port: 2378 }],
  ['fd00::1', { host: 'fd00::1', port: 2377 }],
])('the member may be given as %s', (text, target) => {
  expect(parseTarget(text, 2377)).toEqual(target);
});

test.each(['', 'a:b', 'http://10.0.0.1:2377', '10.0.0.1:99999'])('%j is no address of a member', (text) => {
  expect(() => parseTarget(text, 2377)).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
});

test('what a newer version wrote into the records of token and node stays there', async () => {
  const { cluster, createToken } = await createCluster();
  const token = await createToken(2);
  const decorated = async (key: string) => {
    const value = encodeRecord(withUnknown(JSON.parse((await cluster.store.get(key))!.value) as object, { a: [1] }));
    await cluster.store.txn([], [{ kind: 'put', key, value }]);
    return unknownIn(value);
  };
  const unknown = async (key: string) => unknownIn((await cluster.store.get(key))!.value);
  const tokenKey = keys.token(parseToken(token).id);
  const ofToken = await decorated(tokenKey);
  const host = cluster.host('n2', '10.0.0.2');
  const { nodeId } = (await host.join(token)).identity;
  expect(await unknown(tokenKey)).toEqual(ofToken);
  const ofNode = await decorated(keys.node(nodeId));
  // The answer was lost, and the join is typed again with another name.
  host.file.content = { version: 1, phase: 'pending', key: host.file.content!.key };
  await host.join(token, { name: 'other' });
  expect(decodeNode((await cluster.store.get(keys.node(nodeId)))!.value)!.name).toBe('other');
  expect(await unknown(keys.node(nodeId))).toEqual(ofNode);
});

test('a record that cannot be read stands in nobody’s way but its own, and says so', async () => {
  const { cluster, token } = await createCluster();
  const put = (key: string, value: string) => cluster.store.txn([], [{ kind: 'put', key, value }]);
  await put(keys.node('strange'), '{"name":5}');
  await put(keys.nodeName('taken'), 'strange');
  const host = cluster.host('n2', '10.0.0.2');
  await expect(host.join(token, { name: 'taken' })).rejects.toThrow(/name taken is taken by a node.*nodes\/strange/);
  const { nodeId } = (await host.join(token)).identity;
  await put(keys.node(nodeId), '{"name":5}');
  host.file.content = { version: 1, phase: 'pending', key: host.file.content!.key };
  await expect(host.join(token)).rejects.toMatchObject({ code: 'version-mismatch' });
  const { value } = (await cluster.store.get(keys.cluster))!;
  await put(keys.cluster, '{"id":5}');
  await expect(cluster.host('n3', '10.0.0.3').join(token)).rejects.toThrow(/cannot admit this host.*v2\/cluster/);
  await put(keys.cluster, value);
  await cluster.host('n3', '10.0.0.3').join(token);
});

test('a host without WireGuard is told so when it joins an encrypted cluster, and is a member all the same', async () => {
  const cluster = new ClusterFixture();
  const { identity, joinCommand } = await cluster.host('n1', '10.0.0.1').init({ encrypt: 'default' });
  cluster.member = identity;
  const host = cluster.host('n2', '10.0.0.2');
  host.deps.wireguard = { backend: async () => undefined };
  const { warnings } = await host.join(tokenOf(joinCommand));
  expect(warnings).toEqual([
    'encrypted networks need WireGuard, which host n2 does not have: install the package wireguard-go, or a kernel that has the module wireguard there',
  ]);
  expect((await cluster.host('n3', '10.0.0.3').join(tokenOf(joinCommand))).warnings).toEqual([]);
});
