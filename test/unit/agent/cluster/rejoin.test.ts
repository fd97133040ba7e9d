import { expect, test } from 'vitest';
import { adoptForStore } from '../../../../src/agent/cluster/another-ca.ts';
import { OwnIdentity } from '../../../../src/agent/cluster/own-identity.ts';
import { isShutOut, joinAgain } from '../../../../src/agent/cluster/rejoin.ts';
import { decodeNode } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { createToken, formatToken } from '../../../../src/core/token.ts';
import type { JoinRequest } from '../../../../src/ports/join.ts';
import { AGENT } from './certification-fixture.ts';
import { ClusterFixture, DEFAULTS, pki, random } from './cluster-fixture.ts';

const DAY_MS = 86_400_000;

/** A member of the cluster whose certificate ran out, and a token. */
async function fixture() {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found(AGENT);
  const host = cluster.host('n2', '10.0.0.2', AGENT);
  const { identity } = await host.join(token, { labels: { rack: 'r1' } });
  const self = decodeNode((await cluster.store.get(keys.node(identity.nodeId)))!.value)!;
  const own = new OwnIdentity(host.file, identity);
  let looks = 0;
  const deps = { ...host.deps, own, member: { self, storeConnected: true }, certification: { look: () => looks++ } };
  return { cluster, host, token, identity, self, deps, looks: () => looks };
}

test('it is shut out when its certificate has run out and it has no key of the CA', async () => {
  const { cluster, deps, identity } = await fixture();
  expect(isShutOut(deps, { ...deps, identity })).toBe(false);
  cluster.clock.step(91 * DAY_MS);
  expect(isShutOut(deps, { ...deps, identity })).toBe(true);
  expect(isShutOut(deps, { ...deps, identity: cluster.member! })).toBe(false);
});

test('it is shut out as well when its store does not answer', async () => {
  const { deps, identity } = await fixture();
  expect(isShutOut(deps, { identity, member: { storeConnected: false } })).toBe(true);
});

test('where the cluster has another CA it is told where that leads, and what it had of the former one goes', async () => {
  const { cluster, deps, identity } = await fixture();
  const adopt = await adoptForStore(deps, identity, 5, []);
  const founder = adopt!({ ...cluster.member!, next: { caCertificate: 'next' } });
  expect(founder).not.toHaveProperty('next');
  expect(pki.isKeyOf(founder.caKey!, founder.caCertificate)).toBe(true);
  const ca = { certificate: founder.caCertificate, key: founder.caKey! };
  const node = { csr: await pki.createCsr(identity.key), nodeId: identity.nodeId, address: '10.0.0.2' };
  const certificate = await pki.issue(ca, node, { now: Date.now(), lifetimeMs: DAY_MS });
  const store = { endpoints: ['https://10.0.0.9:2379'], caCertificate: '', certificate: '', key: '' };
  const { nodeId, clusterId } = identity;
  const none = { nextCaCertificate: '', caKey: '', nat: false, seenFrom: '' };
  const response = { nodeId, clusterId, certificate, caCertificate: ca.certificate, store, ...none };
  const joined = await joinAgain(
    { ...deps, joinClient: { ...deps.joinClient, join: async () => response } },
    { token: formatToken(createToken(pki.digest(ca.certificate), random)), address: '10.0.0.9' },
    { ...DEFAULTS, agent: AGENT },
    () => {},
  );
  expect(joined.store).toEqual({ ...store, bundled: false });
  expect(deps.own.current).toBe(identity);
  const before = { ...identity, caKey: 'former', next: { caCertificate: 'next' } };
  expect(joined.adopt!(before)).toEqual({ ...identity, certificate, caCertificate: ca.certificate });
});

test('another CA is made by a host that begins the store where no keeper lives alone', async () => {
  const { cluster, deps, identity } = await fixture();
  expect(await adoptForStore(deps, identity, 4, [])).toBeUndefined();
  expect(await adoptForStore(deps, cluster.member!, 5, [])).toBeUndefined();
  await expect(adoptForStore(deps, identity, 5, ['n1'])).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('run it on n1'),
  });
});

test('it becomes the same node again, with what it had, and a certificate that is saved', async () => {
  const { cluster, host, identity, self, token, deps, looks } = await fixture();
  cluster.clock.step(91 * DAY_MS);
  await joinAgain(deps, { token, address: '10.0.0.1' }, { ...DEFAULTS, agent: AGENT }, () => undefined);
  expect(deps.own.current).toEqual({ ...identity, certificate: deps.own.current.certificate });
  expect(isShutOut(deps, { ...deps, identity: deps.own.current })).toBe(false);
  expect(host.file.content).toEqual(deps.own.current);
  expect(decodeNode((await cluster.store.get(keys.node(identity.nodeId)))!.value)).toEqual(self);
  expect(looks()).toBe(1);
});

test('a token of another cluster changes nothing here', async () => {
  const { identity, deps } = await fixture();
  const other = new ClusterFixture();
  const { token } = await other.found(AGENT);
  const joinClient = {
    ...deps.joinClient,
    join: (_: unknown, __: string, request: JoinRequest) => other.admit(request),
  };
  const joined = joinAgain(
    { ...deps, joinClient },
    { token, address: '10.0.0.1' },
    { ...DEFAULTS, agent: AGENT },
    () => {},
  );
  await expect(joined).rejects.toMatchObject({ code: 'already-member' });
  expect(deps.own.current).toBe(identity);
  expect(pki.isSignedBy(identity.certificate, deps.own.current.caCertificate)).toBe(true);
});

test.each([
  ['keeps its certificate, which says that it is the store', 0, true],
  ['takes the other one where its own has run out', 91, false],
])('a keeper whose store does not answer %s', async (_, days, keeps) => {
  const { cluster, deps, token } = await fixture();
  const before = { ...cluster.member!, next: { caCertificate: 'next', caKey: 'its key' } };
  const own = new OwnIdentity(cluster.host('n1', '10.0.0.1', AGENT).file, before);
  expect(pki.readCertificate(before.certificate).isKeepers).toBe(true);
  cluster.clock.step(days * DAY_MS);
  const ca = { certificate: before.caCertificate, key: before.caKey! };
  const node = { csr: await pki.createCsr(before.key), nodeId: before.nodeId, address: '10.0.0.1' };
  const certificate = await pki.issue(ca, node, { now: cluster.clock.now(), lifetimeMs: 90 * DAY_MS });
  const store = { endpoints: ['https://10.0.0.9:2379'], caCertificate: '', certificate: '', key: '' };
  const { nodeId, clusterId } = before;
  const said = { nextCaCertificate: 'next', caKey: '', nat: false, seenFrom: '' };
  const response = { nodeId, clusterId, certificate, caCertificate: ca.certificate, store, ...said };
  await joinAgain(
    { ...deps, own, joinClient: { ...deps.joinClient, join: async () => response } },
    { token, address: '10.0.0.9' },
    { ...DEFAULTS, agent: AGENT },
    () => undefined,
  );
  expect(own.current).toEqual({ ...before, certificate: keeps ? before.certificate : certificate });
});
