/**
 * What kernels, WireGuard and responders have to hold, worked out from etcd's content alone: nothing of the agent's own
 * planning is asked, so that what it forgets to want is found as well. That it does find it is seen in `oracle.test.ts`.
 */
import { expect } from 'vitest';
import { PREFIX } from '../../src/core/records.ts';
import { checkHost } from './oracle-host.ts';
import { checkNames } from './oracle-names.ts';
import { checkNetworks } from './oracle-networks.ts';
import { checkTunnels } from './oracle-tunnels.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { truthOf } from './truth.ts';

function linesOf(records: Iterable<{ readonly key: string; readonly value: string }>): string[] {
  return [...records].map(({ key, value }) => `${key} ${value}`).sort();
}

/** All is quiet and every agent runs. */
export async function checkAgainstTruth(cluster: SimulatedCluster): Promise<void> {
  const truth = truthOf(cluster.etcd);
  const records = linesOf(cluster.etcd.entries(PREFIX));
  for (const host of cluster.running) {
    // Members hold a copy of all: transactions over several keys, quarantine and static names included.
    expect(linesOf(host.running.table.records()), host.record.name).toEqual(records);
    if (!truth.members.has(host.record.id)) continue;
    checkNetworks(host, truth);
    checkHost(host, truth);
    checkTunnels(host, truth);
    await checkNames(host, truth);
  }
}
