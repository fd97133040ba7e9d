import { expect, test } from 'vitest';
import type { Identity, IdentityState } from '../../../../src/agent/cluster/identity.ts';
import { keepCertificate, renewalTime } from '../../../../src/agent/cluster/renewal.ts';
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
  return { cluster, identity, file, told, stop, renewals, run };
}

test('a certificate is renewed at two thirds of its life, for the same key, saved before it is used', async () => {
  const { cluster, identity, file, told, stop, renewals, run } = await createKeeper();
  const done = run();
  await cluster.clock.advance(59 * DAY_MS);
  expect(told).toEqual([]);
  await cluster.clock.advance(2 * DAY_MS);
  await renewals(1);
  expect(told[0]).toEqual({ ...identity, certificate: told[0]!.certificate });
  expect(file.content).toEqual(told[0]);
  const [before, after] = [identity, told[0]!].map(({ certificate }) => pki.readCertificate(certificate));
  expect(after!.fingerprint).toBe(before!.fingerprint);
  expect(after!.notAfter - before!.notAfter).toBeGreaterThan(59 * DAY_MS);
  expect(renewalTime(after!)).toBeGreaterThan(cluster.clock.now() + 58 * DAY_MS);
  stop.abort();
  await done;
});

test('a host that slept past the end renews at once, and a full disk is tried again', async () => {
  const { cluster, told, file, stop, renewals, run } = await createKeeper();
  await cluster.clock.advance(100 * DAY_MS);
  const { save } = file;
  let failures = 1;
  file.save = async (state) => {
    if (failures-- > 0) throw new Error('no space left on device');
    await save(state);
  };
  const done = run();
  await expect.poll(() => cluster.log.map(({ message }) => message)).toContain('certificate not renewed, trying again');
  expect(told).toEqual([]);
  await cluster.clock.advance(60_000);
  await renewals(1);
  stop.abort();
  await done;
});
