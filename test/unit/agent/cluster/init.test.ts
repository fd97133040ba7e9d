import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import type { InitOptions } from '../../../../src/agent/cluster/init.ts';
import { SPOKEN_LEVELS } from '../../../../src/core/levels.ts';
import { decodeCluster, decodeNode, encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { parseToken } from '../../../../src/core/token.ts';
import type { StoreEntry } from '../../../../src/ports/store.ts';
import { unknownIn, withUnknown } from '../../../fixtures/unknown-fields.ts';
import { ClusterFixture, hostFacts, pki, tokenOf } from './cluster-fixture.ts';

const DEFAULT_POOLS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((base) => ({ base, prefix: 24 }));

test('a cluster, its first node and a token are in etcd, and the join line is exact', async () => {
  const cluster = new ClusterFixture();
  const { identity, joinCommand, token } = await cluster.found();
  const record = decodeCluster((await cluster.store.get(keys.cluster))!.value)!;
  expect(record).toMatchObject({ id: identity.clusterId, pools: DEFAULT_POOLS });
  expect(record.ulaPrefix).toMatch(/^fd[0-9a-f:]+::\/48$/);
  const node = decodeNode((await cluster.store.get(keys.node(identity.nodeId)))!.value)!;
  expect(node).toMatchObject({ name: 'n1', advertiseAddress: '10.0.0.1', vtep: '10.0.0.1', gossipPort: 7946 });
  expect(node.keyFingerprint).toBe(pki.fingerprint(identity.key));
  expect(node.hostRoutes).toEqual(['192.168.0.0/16']);
  expect((await cluster.store.get(keys.nodeName('n1')))?.value).toBe(identity.nodeId);
  expect(joinCommand).toBe(`overlayd join --token ${token} 10.0.0.1:2377`);
  expect(parseToken(token).caDigest).toBe(pki.digest(identity.caCertificate));
});

test('default pools are those that the length of automatic subnets fits into', async () => {
  const cluster = new ClusterFixture();
  await cluster.host('n1', '10.0.0.1').init({ defaultAddrPoolMaskLength: 14 });
  const record = decodeCluster((await cluster.store.get(keys.cluster))!.value)!;
  expect(record.pools.map(({ base }) => base)).toEqual(['10.0.0.0/8', '172.16.0.0/12']);
});

test.each(['127.0.0.0/16', '169.254.0.0/16', '224.0.0.0/8', '0.0.0.0/0'])('no pool can be %s', async (pool) => {
  const host = new ClusterFixture().host('n1', '10.0.0.1');
  await expect(host.init({ defaultAddrPool: [pool] })).rejects.toThrow(`--default-addr-pool: ${pool} lies in`);
});

test.each(['default', 'required'] as const)('a cluster that is made with --encrypt=%s says so', async (encrypt) => {
  const cluster = new ClusterFixture();
  const { identity } = await cluster.host('n1', '10.0.0.1').init({ encrypt, wireguardPort: 51_850 });
  expect(decodeCluster((await cluster.store.get(keys.cluster))!.value)!.encryption).toBe(encrypt);
  expect(identity.wireguardPort).toBe(51_850);
  // It is the offer's, where there is one.
  expect((await cluster.store.get(keys.node(identity.nodeId)))!.value).not.toContain('wireguardPort');
});

test.each(['default', 'required'])(
  '--encrypt=%s is refused where there is no WireGuard, before anything is made',
  async (encrypt) => {
    const cluster = new ClusterFixture();
    const host = cluster.host('n1', '10.0.0.1');
    host.deps.wireguard = { backend: async () => undefined };
    await expect(host.init({ encrypt })).rejects.toMatchObject({
      code: 'tool-missing',
      message:
        'encrypted networks need WireGuard, which host n1 does not have: install the package wireguard-go, or a kernel that has the module wireguard there',
    });
    expect(host.file.saves).toBe(0);
    expect(cluster.etcd.revision).toBe(new ClusterFixture().etcd.revision);
    await host.init();
  },
);

test('and another one says nothing; the port is the usual one', async () => {
  const cluster = new ClusterFixture();
  const { identity } = await cluster.found();
  expect(decodeCluster((await cluster.store.get(keys.cluster))!.value)).not.toHaveProperty('encryption');
  expect(identity.wireguardPort).toBe(51_840);
  await expect(cluster.host('n2', '10.0.0.2').init({ encrypt: 'off' })).rejects.toThrow('"off" is neither default nor');
});

test.each([
  [{ wireguardPort: 65_535 }, 'WireGuard has the next port too'],
  [{ wireguardPort: 4_789 }, '--wireguard-port 4789 is for 4789 and 4790, and --data-path-port is 4789'],
  [{ wireguardPort: 4_788 }, '--wireguard-port 4788 is for 4788 and 4789, and --data-path-port is 4789'],
])('%j is refused', async (options, message) => {
  await expect(new ClusterFixture().host('n1', '10.0.0.1').init(options)).rejects.toThrow(message);
});

test('the token is kept as a hash and ends after a day', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found();
  const { id, secret } = parseToken(token);
  const { value } = (await cluster.store.get(keys.token(id)))!;
  expect(value).not.toContain(secret);
  expect(JSON.parse(value)).toMatchObject({ expiresAt: cluster.clock.now() + 86_400_000 });
});

test('the identity is a certificate of the cluster for this node', async () => {
  const { identity, host } = await new ClusterFixture().found();
  const certificate = new X509Certificate(identity.certificate);
  expect(certificate.verify(new X509Certificate(identity.caCertificate).publicKey)).toBe(true);
  expect(host.file.content).toEqual(identity);
  expect(identity.store).toMatchObject({ endpoints: ['http://10.9.9.9:2379'], bundled: false });
});

test('an etcd that holds a cluster is refused, and nothing is changed', async () => {
  const cluster = new ClusterFixture();
  const { identity } = await cluster.found();
  const { revision } = cluster.etcd;
  const other = cluster.host('n2', '10.0.0.2');
  await expect(other.init()).rejects.toMatchObject({ code: 'conflict' });
  await expect(other.init()).rejects.toThrow(`etcd holds cluster ${identity.clusterId} already: join it`);
  expect(cluster.etcd.revision).toBe(revision);
});

test('a member refuses a second init and a join', async () => {
  const cluster = new ClusterFixture();
  const { host, token } = await cluster.found();
  await expect(host.init()).rejects.toMatchObject({ code: 'already-member' });
  await expect(host.join(token)).rejects.toThrow(/node n1 of cluster .* already; `overlayd leave` comes first/);
});

test.each(['refusing', 'silent', 'reply-lost'] as const)(
  'an init that lost etcd (%s) is finished by typing it again',
  async (fault) => {
    const cluster = new ClusterFixture();
    const host = cluster.host('n1', '10.0.0.1');
    host.store.cut(fault);
    await expect(cluster.drive(host.init())).rejects.toMatchObject({ code: 'store-unavailable' });
    expect(host.file.content?.phase).toBe('pending');
    host.store.heal();
    const { identity } = await host.init({ name: 'other' });
    expect(decodeCluster((await cluster.store.get(keys.cluster))!.value)!.id).toBe(identity.clusterId);
    const names = (await cluster.store.list('/overlayd/v2/node-names/')).entries;
    expect(names.map(({ key }) => key)).toEqual([keys.nodeName('other')]);
  },
);

test('a crash after etcd was written and before the identity was saved is resumed as the same cluster', async () => {
  const cluster = new ClusterFixture();
  const host = cluster.host('n1', '10.0.0.1');
  const { save } = host.file;
  host.deps.file.save = async (state) => {
    if (state.phase === 'member') throw new Error('power off');
    await save(state);
  };
  await expect(host.init()).rejects.toThrow('power off');
  host.deps.file.save = save;
  // Another version has written to the record meanwhile.
  const [node] = (await cluster.store.list('/overlayd/v2/nodes/')).entries as [StoreEntry];
  const newer = encodeRecord(withUnknown(JSON.parse(node.value) as object, 7));
  await cluster.store.txn([], [{ kind: 'put', key: node.key, value: newer }]);
  const { identity, joinCommand } = await host.init();
  expect((await cluster.store.list('/overlayd/v2/nodes/')).entries).toHaveLength(1);
  expect(decodeCluster((await cluster.store.get(keys.cluster))!.value)!.id).toBe(identity.clusterId);
  expect(unknownIn((await cluster.store.get(node.key))!.value)).toEqual(unknownIn(newer));
  cluster.member = identity;
  await cluster.host('n2', '10.0.0.2').join(tokenOf(joinCommand));
});

test('the bundled way starts etcd here, says so, and stops it when init fails', async () => {
  const cluster = new ClusterFixture();
  const host = cluster.host('n1', '10.0.0.1');
  const { identity } = await host.init({ etcdEndpoints: [] });
  expect(identity.store).toMatchObject({ endpoints: ['https://10.0.0.1:2379'], bundled: true, certificate: '' });
  expect(cluster.bundled.running).toBe(true);
  const other = cluster.host('n2', '10.0.0.2');
  await expect(other.init({ etcdEndpoints: [] })).rejects.toThrow(
    /holds cluster .* no longer has; restore identity\.json .* or move both aside/,
  );
  expect(cluster.bundled.running).toBe(false);
});

test('three hosts are to keep the store, and the first does; of an etcd of the user’s nobody says who does', async () => {
  const agent = { version: '0.1.0', levels: SPOKEN_LEVELS };
  const cluster = new ClusterFixture();
  const { identity } = await cluster.host('n1', '10.0.0.1', agent).init({ etcdEndpoints: [] });
  const wanted = async (of: ClusterFixture) => decodeCluster((await of.store.get(keys.cluster))!.value)!.storeMembers;
  expect(await wanted(cluster)).toBe(3);
  expect((await cluster.store.get(keys.storeKeepers))?.value).toBe(`{"nodeIds":["${identity.nodeId}"]}`);
  const own = new ClusterFixture();
  await own.host('n1', '10.0.0.1', agent).init({ storeMembers: 5 });
  expect([await wanted(own), await own.store.get(keys.storeKeepers)]).toEqual([5, undefined]);
});

test.each([2, 4, 7])('%i hosts cannot be wanted', async (storeMembers) => {
  const host = new ClusterFixture().host('n1', '10.0.0.1');
  await expect(host.init({ storeMembers })).rejects.toThrow(`--store-members: ${storeMembers} is none of 1, 3, 5`);
  expect(host.file.saves).toBe(0);
});

test('several addresses need a choice, before anything is made', async () => {
  const host = new ClusterFixture().host('n1', '10.0.0.1');
  host.deps.facts = hostFacts('n1', [
    ['eth0', '10.0.0.1'],
    ['eth1', '192.168.0.1'],
  ]);
  await expect(host.init()).rejects.toMatchObject({ code: 'invalid-address' });
  expect(host.file.saves).toBe(0);
  const { identity } = await host.init({ advertiseAddr: 'eth1', dataPathAddr: '10.0.0.1' });
  expect(identity).toMatchObject({ advertiseAddress: '192.168.0.1', vtep: '10.0.0.1' });
});

test('it listens everywhere, or at the address or the link that was said', async () => {
  const listening = async (listenAddr: string) => {
    const { identity } = await new ClusterFixture().host('n1', '10.0.0.1').init({ listenAddr });
    return identity.listenAddress;
  };
  expect(await listening('')).toBe('0.0.0.0');
  expect(await listening('10.0.0.1')).toBe('10.0.0.1');
  expect(await listening('eth0')).toBe('10.0.0.1');
});

test.each([
  [
    { listenAddr: 'eth7' },
    /--listen-addr: "eth7" is neither an IP address nor a link with one; choose from 10\.0\.0\.1/,
  ],
  [{ etcdEndpoints: ['10.0.0.5:2379'] }, /lacks http:\/\/ or https:\/\//],
  [{ etcdEndpoints: ['http://10.0.0.5:2379/v3'] }, /more than host and port/],
  [{ etcdEndpoints: ['http://2001:db8::5:2379'] }, /not a URL of host and port; write it like .*\[2001:db8::5\]/],
  [{ etcdEndpoints: ['http://a@b:1'] }, /user names in the URL/],
  [{ etcdEndpoints: ['https://10.0.0.5:2379'] }, /https endpoints need --etcd-ca, --etcd-cert and --etcd-key/],
  [{ etcdEndpoints: ['http://a:1', 'https://b:1'] }, /all https or all http/],
  [{ etcdEndpoints: ['http://a:1'], etcdCa: 'x' }, /certificates are for https/],
  [{ etcdEndpoints: [], etcdCa: 'x' }, /need --etcd as well/],
  [{ name: 'a b' }, /node name "a b" is not valid/],
  [{ joinPort: 7946 }, /both 7946/],
  [{ listenAddr: '0.0.0.0:2377' }, /--listen-addr/],
  [
    { listenAddr: '2001:db8::1' },
    /at 2001:db8::1 nobody hears this host .* at 10\.0\.0\.1; give an IPv4 address, or 0/,
  ],
  [{ defaultAddrPool: ['10.1.2.3/8'] }, /host bits set; it is 10\.0\.0\.0\/8/],
  [{ defaultAddrPool: ['10.0.0.0/8', '10.1.0.0/16'] }, /10\.1\.0\.0\/16 overlaps with 10\.0\.0\.0\/8/],
  [{ defaultAddrPool: ['10.0.0.0/16'], defaultAddrPoolMaskLength: 8 }, /\/8 does not fit 10\.0\.0\.0\/16/],
])('%j is refused with the cause', async (options, problem) => {
  const host = new ClusterFixture().host('n1', '10.0.0.1');
  await expect(host.init(options)).rejects.toThrow(problem);
  expect(host.file.saves).toBe(0);
});

test("an endpoint without a port gets etcd's, one with a port keeps it", async () => {
  const init = async (endpoint: string) =>
    (await new ClusterFixture().host('n1', '10.0.0.1').init({ etcdEndpoints: [endpoint] })).identity.store.endpoints;
  expect(await init('http://db')).toEqual(['http://db:2379']);
  expect(await init('http://db:80/')).toEqual(['http://db:80']);
  expect(await init('http://[2001:DB8::5]')).toEqual(['http://[2001:db8::5]:2379']);
});

test('a host of IPv6 alone: etcd, the join line, certificate, listener and ports are of IPv6', async () => {
  const host = new ClusterFixture().host('n1', '2001:db8::1');
  const asked: string[] = [];
  host.deps.facts = hostFacts('n1', [['eth0', '2001:db8::1']], async ({ transport, address }) => {
    asked.push(`${transport} ${address}`);
    return undefined;
  });
  const { identity, joinCommand } = await host.init({ etcdEndpoints: [] });
  expect(identity).toMatchObject({ advertiseAddress: '2001:db8::1', vtep: '2001:db8::1', listenAddress: '::' });
  expect(identity.store.endpoints).toEqual(['https://[2001:db8::1]:2379']);
  expect(joinCommand).toMatch(/ \[2001:db8::1\]:2377$/);
  expect(new Set(asked)).toEqual(new Set(['tcp ::', 'udp ::']));
  const { subjectAltName } = new X509Certificate(identity.certificate);
  expect(subjectAltName).toContain('IP Address:2001:DB8:0:0:0:0:0:1');
});

test('one of both families says which is meant, for members and for containers’ traffic', async () => {
  const both = hostFacts('n1', [
    ['eth0', '10.0.0.1'],
    ['eth0', '2001:db8::1'],
    ['eth1', '192.168.0.1'],
    ['eth1', 'fd00::1'],
  ]);
  const addresses = async (options: Partial<InitOptions>) => {
    const host = new ClusterFixture().host('n1', '10.0.0.1');
    host.deps.facts = both;
    const { advertiseAddress, vtep, listenAddress } = (await host.init(options)).identity;
    return [advertiseAddress, vtep, listenAddress];
  };
  expect(await addresses({ advertiseAddr: 'eth0' })).toEqual(['10.0.0.1', '10.0.0.1', '0.0.0.0']);
  expect(await addresses({ advertiseAddr: '2001:db8::1', dataPathAddr: 'eth1' })).toEqual([
    '2001:db8::1',
    'fd00::1',
    '::',
  ]);
  expect(await addresses({ advertiseAddr: '10.0.0.1', listenAddr: '::' })).toEqual(['10.0.0.1', '10.0.0.1', '::']);
});
