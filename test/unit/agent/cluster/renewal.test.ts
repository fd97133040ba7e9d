import { expect, test } from 'vitest';
import type { IdentityState } from '../../../../src/agent/cluster/identity.ts';
import { OwnIdentity } from '../../../../src/agent/cluster/own-identity.ts';
import {
  clockProblem,
  endProblems,
  isCertificateDue,
  withIssued,
  withValidCertificate,
} from '../../../../src/agent/cluster/renewal.ts';
import { ClusterFixture, DEFAULTS, memoryFile, pki } from './cluster-fixture.ts';

const DAY_MS = 86_400_000;

async function createKeeper() {
  const cluster = new ClusterFixture();
  const { identity } = await cluster.found();
  const file = memoryFile<IdentityState>();
  const deps = { clock: cluster.clock, logger: cluster.logger, pki, own: new OwnIdentity(file, identity) };
  return { cluster, identity, file, deps };
}

test('a certificate is due at two thirds of its life, and with another address', async () => {
  const { cluster, identity, deps } = await createKeeper();
  const isDue = (parts: object = {}) => isCertificateDue(deps, { ...identity, ...parts }, undefined, DEFAULTS);
  expect(isDue()).toBe(false);
  expect(isDue({ advertiseAddress: '10.0.0.9' })).toBe(true);
  await cluster.clock.advance(59 * DAY_MS);
  expect(isDue()).toBe(false);
  await cluster.clock.advance(2 * DAY_MS);
  expect(isDue()).toBe(true);
});

test('near the end of the authority nothing is renewed that would not last longer', async () => {
  const { cluster, identity, deps } = await createKeeper();
  await cluster.clock.advance(3_640 * DAY_MS);
  const last = await withValidCertificate(deps, DEFAULTS);
  expect(pki.validity(last.certificate).notAfter).toBe(pki.validity(identity.caCertificate).notAfter);
  expect(isCertificateDue(deps, last, undefined, DEFAULTS)).toBe(false);
});

test('a clock that jumps ahead and back leaves a certificate that is valid all the time', async () => {
  const { cluster, deps } = await createKeeper();
  const now = cluster.clock.now.bind(cluster.clock);
  cluster.clock.now = () => now() + 61 * DAY_MS;
  const renewed = await withValidCertificate(deps, DEFAULTS);
  cluster.clock.now = now;
  const { notBefore, notAfter } = pki.validity(renewed.certificate);
  expect(notBefore).toBeLessThan(now());
  expect(notAfter).toBeGreaterThan(now() + 90 * DAY_MS);
  expect(isCertificateDue(deps, renewed, undefined, DEFAULTS)).toBe(false);
});

test('a member with the key starts with a certificate that is valid now, whether it can be saved or not', async () => {
  const { cluster, identity, file, deps } = await createKeeper();
  expect(await withValidCertificate(deps, DEFAULTS)).toBe(identity);
  await cluster.clock.advance(100 * DAY_MS);
  file.save = async () => {
    throw new Error('no space left on device');
  };
  const started = await withValidCertificate(deps, DEFAULTS);
  expect(pki.validity(started.certificate).notAfter).toBeGreaterThan(cluster.clock.now() + 89 * DAY_MS);
});

test('one whose agent of before kept no list of revoked certificates starts with one, since etcd would begin anew for it', async () => {
  const { identity, file, deps } = await createKeeper();
  const { revoked: _, ...former } = identity;
  const bundled = { ...former, store: { ...former.store, bundled: true } };
  const own = new OwnIdentity(file, bundled);
  const started = await withValidCertificate({ ...deps, own }, DEFAULTS);
  expect(started.certificate).toBe(identity.certificate);
  expect(started.revoked).toMatchObject({ serials: [], signedBy: pki.digest(identity.caCertificate) });
  expect(await withValidCertificate({ ...deps, own }, DEFAULTS)).toBe(started);
});

test('one without the key starts with what it has', async () => {
  const { cluster, identity, file, deps } = await createKeeper();
  const { caKey: _, ...keyless } = identity;
  await cluster.clock.advance(100 * DAY_MS);
  const own = new OwnIdentity(file, keyless);
  expect(await withValidCertificate({ ...deps, own }, DEFAULTS)).toBe(keyless);
  expect(clockProblem(deps, keyless)).toMatch(/overlayd token create` on another host .* lets this one in again/);
});

test('a CA that comes to its end is told of thirty days before, unless it is being replaced', async () => {
  const { cluster, identity, deps } = await createKeeper();
  expect(endProblems(deps, identity, DEFAULTS)).toEqual([]);
  const { notAfter } = pki.validity(identity.caCertificate);
  cluster.clock.step(notAfter - cluster.clock.now() - 31 * DAY_MS);
  const renewed = await withValidCertificate(deps, DEFAULTS);
  expect(endProblems(deps, renewed, DEFAULTS)).toEqual([]);
  cluster.clock.step(2 * DAY_MS);
  expect(endProblems(deps, renewed, DEFAULTS)).toEqual([
    expect.stringMatching(
      /^the cluster's CA ends at 20\d\d-.*, in 29 days: replace it, `overlayd ca rotate` on any host/,
    ),
  ]);
  expect(endProblems(deps, { ...renewed, next: { caCertificate: 'next' } }, DEFAULTS)).toEqual([]);
  cluster.clock.step(30 * DAY_MS);
  expect(endProblems(deps, renewed, DEFAULTS)).toEqual([]);
  expect(clockProblem(deps, renewed)).toContain("the cluster's CA is valid");
});

test('a certificate that nobody renews is told of', async () => {
  const { cluster, identity, deps } = await createKeeper();
  cluster.clock.step(66 * DAY_MS);
  expect(endProblems(deps, identity, DEFAULTS)).toEqual([]);
  cluster.clock.step(2 * DAY_MS);
  expect(endProblems(deps, identity, DEFAULTS)).toEqual([
    expect.stringMatching(/^this host's certificate ends at .* in (21|22) days, and no keeper has renewed it/),
  ]);
});

test("another node's certificate is not taken, nor one of a CA that is not known", async () => {
  const { cluster, identity } = await createKeeper();
  const other = await pki.createCa('c1', cluster.clock.now());
  const csr = await pki.createCsr(identity.key);
  const issue = (ca: typeof other, nodeId: string) =>
    pki.issue(ca, { csr, nodeId, address: '10.0.0.1' }, { now: cluster.clock.now(), lifetimeMs: DAY_MS });
  const known = { certificate: identity.caCertificate, key: identity.caKey! };
  const wrong = { certificate: await issue(known, 'f'.repeat(32)), caCertificate: identity.caCertificate };
  expect(() => withIssued(pki, identity, wrong)).toThrow('not for this node');
  const strange = { certificate: await issue(other, identity.nodeId), caCertificate: other.certificate };
  expect(() => withIssued(pki, identity, strange)).toThrow('was not told of');
  const next = { ...identity, next: { caCertificate: other.certificate } };
  expect(withIssued(pki, next, strange)).toEqual({ ...next, next: { ...next.next, certificate: strange.certificate } });
});

test('a clock that is outside of what the certificates span is named', async () => {
  const { cluster, identity, deps } = await createKeeper();
  expect(clockProblem(deps, identity)).toBeUndefined();
  await cluster.clock.advance(91 * DAY_MS);
  expect(clockProblem(deps, identity)).toMatch(
    /^this host's clock says .*, but its certificate is valid from .* is the clock right\?$/,
  );
  await cluster.clock.advance(3_650 * DAY_MS);
  expect(clockProblem(deps, identity)).toMatch(/the cluster's CA is valid from .*: set the clock \(NTP\)$/);
});
