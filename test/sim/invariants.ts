/** What must hold at every moment, and what must hold once nothing happens any more. */
import { expect } from 'vitest';
import { decodeEndpoint } from '../../src/core/record-codec.ts';
import { PREFIX } from '../../src/core/records.ts';
import { checkAgainstTruth } from './oracle.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

/** At every moment: an address of a network is one endpoint's, on one host. */
export function checkInvariants(cluster: SimulatedCluster): void {
  const holders = new Map<string, string>();
  for (const host of cluster.running) {
    for (const { record } of host.running.local.all()) {
      const address = `${record.networkId} ${record.address}`;
      expect(holders.get(address), `${record.address} on ${host.record.name}`).toBeUndefined();
      holders.set(address, host.record.name);
    }
  }
}

/** When all is quiet: claims and endpoints are the same set, all tables are equal, all kernels hold what they should. */
export async function checkQuiet(cluster: SimulatedCluster): Promise<void> {
  await cluster.clock.advance(10_000);
  checkInvariants(cluster);
  const claims = cluster.etcd.entries(`${PREFIX}endpoints/`).flatMap(({ value }) => decodeEndpoint(value) ?? []);
  const endpoints = cluster.running.flatMap((host) => host.running.local.all().map(({ record }) => record));
  expect(claims.map(({ id }) => id).sort()).toEqual(endpoints.map(({ id }) => id).sort());

  await checkAgainstTruth(cluster);
  for (const host of cluster.running) {
    expect(host.running.reconciler.status().lastError, host.record.name).toBeFalsy();
  }

  const writes = cluster.running.map((host) => host.kernel.writes);
  for (const host of cluster.running) host.running.reconciler.markDirty('all');
  await cluster.clock.advance(5_000);
  expect(cluster.running.map((host) => host.kernel.writes)).toEqual(writes);
}
