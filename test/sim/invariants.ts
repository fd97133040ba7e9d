/** What must hold at every moment, and what must hold once nothing happens any more. */
import { expect } from 'vitest';
import { isIpv4, macOf, requireIp } from '../../src/core/ip.ts';
import { checkAddresses } from '../../src/core/ipam/check.ts';
import { decodeEndpoint } from '../../src/core/record-codec.ts';
import { type EndpointRecord, keys, PREFIX } from '../../src/core/records.ts';
import { checkAgainstTruth } from './oracle.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

/** At every moment: an address of a network is one endpoint's, on one host, and so is a MAC. */
export function checkInvariants(cluster: SimulatedCluster): void {
  const holders = new Map<string, string>();
  for (const host of cluster.running) {
    for (const { record } of host.running.local.all()) {
      for (const { ip } of record.addresses) {
        const place = `${record.networkId} ${ip}`;
        expect(holders.get(place), `${ip} on ${host.record.name}`).toBeUndefined();
        holders.set(place, host.record.name);
      }
    }
  }
  const macs = claimsOf(cluster).map(({ networkId, mac }) => `${networkId} ${mac}`);
  expect(macs).toEqual([...new Set(macs)]);
}

function claimsOf(cluster: SimulatedCluster): EndpointRecord[] {
  return cluster.etcd.entries(`${PREFIX}endpoints/`).flatMap(({ value }) => decodeEndpoint(value) ?? []);
}

/** When all is quiet: claims and endpoints are the same set, all tables are equal, all kernels hold what they should. */
export async function checkQuiet(cluster: SimulatedCluster): Promise<void> {
  await cluster.clock.advance(10_000);
  checkInvariants(cluster);
  const claims = claimsOf(cluster);
  const endpoints = cluster.running.flatMap((host) => host.running.local.all().map(({ record }) => record));
  expect(claims.map(({ id }) => id).sort()).toEqual(endpoints.map(({ id }) => id).sort());
  const claimed = claims.flatMap(({ addresses, id: endpointId, networkId, nodeId }) =>
    addresses.map(({ ip }) => [keys.address(networkId, ip), { endpointId, nodeId }] as const),
  );
  const addressClaims = cluster.etcd.entries(keys.addresses).map(({ key, value }) => [key, JSON.parse(value)]);
  expect(new Map(addressClaims as [string, unknown][])).toEqual(new Map(claimed));
  const follows = ({ addresses }: EndpointRecord) =>
    addresses.filter(({ ip }) => isIpv4(ip)).map(({ ip }) => macOf(requireIp(ip, 'address')))[0];
  const chosen = claims.filter((record) => record.mac !== follows(record));
  const macClaims = cluster.etcd.entries(`${PREFIX}macs/`).map(({ key, value }) => [key, JSON.parse(value)]);
  expect(new Map(macClaims as [string, unknown][])).toEqual(
    new Map(chosen.map(({ id, nodeId, mac, networkId }) => [keys.mac(networkId, mac), { endpointId: id, nodeId }])),
  );

  const claimedKeys = new Set(addressClaims.map(([key]) => key));
  for (const { key, value } of cluster.etcd.entries(`${PREFIX}quarantine/`)) {
    expect(cluster.etcd.leaseOf(key) === undefined, key).toBe(JSON.parse(value).keptFor !== undefined);
    expect(claimedKeys.has(key.replace('/quarantine/', '/addresses/')), key).toBe(false);
  }
  for (const { record, running } of cluster.running) {
    const known = [...running.local.former(), ...running.local.all()];
    const byId = new Map(known.map((endpoint) => [endpoint.record.id, endpoint.record]));
    const own = { nodeId: record.id, byId, isUnderway: () => false };
    expect(checkAddresses(cluster.etcd.entries(PREFIX), own), record.name).toEqual([]);
  }
  await checkAgainstTruth(cluster);
  for (const host of cluster.running) {
    expect(host.running.reconciler.status().lastError, host.record.name).toBeFalsy();
  }

  const writes = cluster.running.map((host) => host.kernel.writes);
  for (const host of cluster.running) host.running.reconciler.markDirty('all');
  await cluster.clock.advance(5_000);
  expect(cluster.running.map((host) => host.kernel.writes)).toEqual(writes);
}
