import { expect, test } from 'vitest';
import type { Identity, IdentityState } from '../../../../src/agent/cluster/identity.ts';
import {
  clockProblem,
  keepCertificate,
  renewalTime,
  withValidCertificate,
} from '../../../../src/agent/cluster/renewal.ts';
import { backdatedCertificate } from '../../../fixtures/certificate.ts';
import { ClusterFixture, DEFAULTS, memoryFile, pki } from './cluster-fixture.ts';

const DAY_MS = 86_400_000;

async function createKeeper() {
  const cluster = new ClusterFixture();
  const { identity } = await cluster.found();
  const file = memoryFile<IdentityState>();
  const told: Identity[] = [];
  const stop = new AbortController();
  const renewals = (expected: number) => expect.poll(() => told.length).toBe(expected);
  const deps = {
    ...{ clock: cluster.clock, logger: cluster.logger, pki, file },
    renewed: async (next: Identity) => void told.push(next),
  };
  const run = () => keepCertificate(deps, identity, DEFAULTS, stop.signal).catch(() => undefined);
  return { cluster, identity, file, told, stop, renewals, run, deps };
}

test('a certificate is renewed at two thirds of its life, for the same key, saved before it is used', async () => {
  const { cluster, identity, file, told, stop, renewals, run } = await createKeeper();
  const now = cluster.clock.now.bind(cluster.clock);
  await cluster.clock.advance(59 * DAY_MS);
  const done = run();
  await cluster.clock.advance(60_000);
  expect(told).toEqual([]);
  cluster.clock.now = () => now() + 2 * DAY_MS;
  await cluster.clock.advance(60_000);
  await renewals(1);
  expect(told[0]).toEqual({ ...identity, certificate: told[0]!.certificate });
  expect(file.content).toEqual(told[0]);
  const [before, after] = [identity, told[0]!].map(({ certificate }) => pki.readCertificate(certificate));
  expect(after!.fingerprint).toBe(before!.fingerprint);
  expect(after!.notAfter - before!.notAfter).toBeGreaterThan(59 * DAY_MS);
  expect(renewalTime(after!, DEFAULTS.certificateLifetimeMs)).toBeGreaterThan(cluster.clock.now() + 58 * DAY_MS);
  stop.abort();
  await done;
});

test('a host that slept past the end renews at once, and a full disk is tried again', async () => {
  const { cluster, told, file, stop, run } = await createKeeper();
  await cluster.clock.advance(100 * DAY_MS);
  const { save } = file;
  let failures = 3;
  file.save = async (state) => {
    if (failures-- > 0) throw new Error('no space left on device');
    await save(state);
  };
  const done = run();
  await expect.poll(() => cluster.log.map(({ message }) => message)).toContain('certificate not renewed, trying again');
  expect(told).toEqual([]);
  while (told.length === 0) await cluster.clock.advance(60_000);
  const warned = cluster.log.filter(({ level }) => level === 'warn');
  expect([warned.length, failures < 0]).toEqual([1, true]);
  stop.abort();
  await done;
});

test('a certificate that was made while the clock was ahead is replaced within a minute, once', async () => {
  const { cluster, identity, told, stop, renewals, deps } = await createKeeper();
  const ahead = { ...identity, certificate: await backdatedCertificate(identity, cluster.clock.now() + 61 * DAY_MS) };
  const done = keepCertificate(deps, ahead, DEFAULTS, stop.signal).catch(() => undefined);
  await renewals(1);
  expect(pki.validity(told[0]!.certificate).notBefore).toBeLessThan(cluster.clock.now());
  await cluster.clock.advance(10 * 60_000);
  expect(told).toHaveLength(1);
  stop.abort();
  await done;
});

test('a clock that jumps ahead and back leaves a certificate that is valid all the time', async () => {
  const { cluster, told, stop, renewals, run } = await createKeeper();
  const now = cluster.clock.now.bind(cluster.clock);
  const done = run();
  cluster.clock.now = () => now() + 61 * DAY_MS;
  await cluster.clock.advance(60_000);
  await renewals(1);
  cluster.clock.now = now;
  const { notBefore, notAfter } = pki.validity(told[0]!.certificate);
  expect(notBefore).toBeLessThan(now());
  expect(notAfter).toBeGreaterThan(now() + 90 * DAY_MS);
  await cluster.clock.advance(10 * 60_000);
  expect(told).toHaveLength(1);
  stop.abort();
  await done;
});

test('near the end of the authority nothing is renewed that would not last longer', async () => {
  const { cluster, identity, told, stop, deps } = await createKeeper();
  await cluster.clock.advance(3_640 * DAY_MS);
  const last = await withValidCertificate(deps, identity, DEFAULTS);
  expect(pki.validity(last.certificate).notAfter).toBe(pki.validity(identity.caCertificate).notAfter);
  const done = keepCertificate(deps, last, DEFAULTS, stop.signal).catch(() => undefined);
  await cluster.clock.advance(10 * 60_000);
  expect(told).toEqual([]);
  stop.abort();
  await done;
});

test('a member starts with a certificate that is valid now, whether it can be saved or not', async () => {
  const { cluster, identity, file, deps } = await createKeeper();
  expect(await withValidCertificate(deps, identity, DEFAULTS)).toBe(identity);
  await cluster.clock.advance(100 * DAY_MS);
  file.save = async () => {
    throw new Error('no space left on device');
  };
  const started = await withValidCertificate(deps, identity, DEFAULTS);
  expect(pki.validity(started.certificate).notAfter).toBeGreaterThan(cluster.clock.now() + 89 * DAY_MS);
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
