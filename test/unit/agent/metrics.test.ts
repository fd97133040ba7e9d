import { expect, it } from 'vitest';
import type { Membership } from '../../../src/agent/lifecycle.ts';
import { Metrics } from '../../../src/agent/metrics.ts';
import { FINDINGS, type Finding, found } from '../../../src/core/finding.ts';
import { METRICS } from '../../../src/core/metrics/catalog.ts';
import type { Family } from '../../../src/core/metrics/family.ts';
import { StepMeter } from '../../../src/core/metrics/step-meter.ts';
import type { PathStatus } from '../../../src/core/path/path.ts';

const PROCESS = { cpu: 1.5, memory: 1e8, startTime: 1e9, openFiles: 40, loopBusy: 1 };

async function collect(membership?: Membership, findings: readonly Finding[] = []): Promise<readonly Family[]> {
  const metrics = new Metrics({
    report: { make: async () => ({ findings, membership, engine: undefined }) },
    meter: new StepMeter(),
    events: new Map([['agent-started', 1]]),
    names: async () => undefined,
    process: async () => PROCESS,
    disk: async () => ({ freeBytes: 5, totalBytes: 10 }),
    expiries: () => ({ node: 5_000, ca: 9_000 }),
    clock: { now: () => 0 },
    version: '1.2.3',
  });
  return await metrics.collect();
}

/** Samples of a metric: labels as text, to value. */
function valuesOf(families: readonly Family[], name: string): Record<string, number> {
  const family = families.find(({ metric }) => metric.name === name);
  return Object.fromEntries(
    family!.samples.map(({ labels, value }) => [Object.values(labels).join(' '), value as number]),
  );
}

const passes: PathStatus = { state: 'passes', lossPercent: 5, roundTripMs: 0.5, mtu: 1450, changedAt: 0 };
const lost: PathStatus = { ...passes, state: 'lost', lossPercent: 80 };

/** A member with so many others, the last of which is not reached, and as many networks, of which each has one endpoint more. */
function memberWith({ members, networks }: { members: number; networks: number }): Membership {
  const self = { id: 'n0', name: 'h0', left: false };
  const others = Array.from({ length: members }, (_, nth) => ({
    id: `n${nth + 1}`,
    name: `h${nth + 1}`,
    left: false,
    joinedAt: 0,
  }));
  const gone = { id: 'gone', name: 'gone', left: true };
  const last = others.at(-1);
  const records = Array.from({ length: networks }, (_, nth) => ({
    ...{ id: `w${nth}`, name: `web${nth}`, state: 'active' },
    subnets: [{ cidr: `10.0.${nth}.0/24`, gateway: `10.0.${nth}.1`, auxAddresses: {} }],
  }));
  const member = {
    self,
    view: {
      nodes: () => [self, ...others, gone],
      network: (id: string) => records.find((each) => each.id === id),
      endpointCount: () => 7,
      subnetTally: () => ({ taken: 1, quarantined: 0, kept: 0 }),
      ...{ addresses: () => new Map(), claims: () => new Map(), quarantine: () => new Map() },
      ...{ keepers: () => ['n0'], cluster: () => ({ storeMembers: 3 }), level: 5 },
    },
    liveness: (id: string) => (id === last?.id ? 'suspect' : 'ready'),
    networks: { list: () => records },
    local: {
      all: () => Array.from({ length: 7 }),
      networkIds: () => records.map(({ id }) => id),
      countOn: (id: string) => Number(id.slice(1)) + 1,
    },
    releases: { pending: 2 },
    reconciler: { status: () => ({ writes: 10, repairs: 3, problems: ['a', 'b'] }) },
    wireguard: {
      peers: () => [
        { receivedBytes: 1, sentBytes: 2, problem: undefined },
        { receivedBytes: 10, sentBytes: 20, problem: 'silent' },
      ],
      backend: { endings: { count: 4 } },
    },
    storeConnected: true,
  };
  const paths = { status: ({ id }: { id: string }) => (id === last?.id ? lost : passes) };
  // Of encrypted networks, the other way round; of most members nothing is known.
  const encryptedPaths = {
    status: ({ id }: { id: string }) => (id === 'n1' ? lost : id === last?.id ? passes : undefined),
  };
  return { member, paths, encryptedPaths, storeStatus: () => ({ revision: 99 }) } as unknown as Membership;
}

it('has every metric of the table, also where the agent is no member and names are not answered', async () => {
  const families = await collect();
  expect(families.map(({ metric }) => metric.name)).toEqual(Object.values(METRICS).map(({ name }) => name));
  expect(valuesOf(families, 'overlayd_member')).toEqual({ '': 0 });
  expect(valuesOf(families, 'overlayd_names_up')).toEqual({ '': 0 });
  expect(valuesOf(families, 'overlayd_build_info')).toEqual({ '1.2.3': 1 });
  expect(valuesOf(families, 'overlayd_events_total')).toEqual({ 'agent-started': 1 });
  expect(valuesOf(families, 'process_resident_memory_bytes')).toEqual({ '': 1e8 });
  // What a member alone can tell.
  expect(valuesOf(families, 'overlayd_store_connected')).toEqual({});
});

it('has labels as the table says, in every sample', async () => {
  const suspicion: Finding = { code: 'clock-skew', subject: 'h1', text: 'x', certain: false, since: 0 };
  const families = await collect(memberWith({ members: 3, networks: 2 }), [suspicion]);
  for (const { metric, samples } of families)
    for (const { labels } of samples) expect(Object.keys(labels), metric.name).toEqual(metric.labels);
});

it('counts findings by code, those that have ended as zero', async () => {
  const certain = [...found('data-path-lost', ['a', 'b']), ...found('disk-full', ['c'])];
  const likely = { code: 'clock-skew', subject: '', text: 'd', certain: false } as const;
  const values = valuesOf(
    await collect(
      undefined,
      [...certain, likely].map((each) => ({ ...each, since: 0 })),
    ),
    'overlayd_finding',
  );
  expect(values).toMatchObject({
    'data-path-lost true': 2,
    'disk-full true': 1,
    'clock-skew true': 0,
    'clock-skew false': 1,
  });
  expect(Object.keys(values)).toHaveLength(Object.keys(FINDINGS).length + 1);
});

it('tells of the cluster what status tells', async () => {
  const families = await collect(memberWith({ members: 3, networks: 2 }));
  const value = (name: string) => valuesOf(families, name);
  expect(value('overlayd_members')).toEqual({ ready: 3, joining: 0, restarting: 0, suspect: 1, down: 0 });
  expect(value('overlayd_paths')).toEqual({
    ...{ 'false passes': 2, 'false loses': 0, 'false lost': 1, 'false unknown': 0 },
    ...{ 'true passes': 1, 'true loses': 0, 'true lost': 1, 'true unknown': 0 },
  });
  expect(value('overlayd_path_loss_ratio')).toEqual({
    ...{ 'false h1': 0.05, 'false h2': 0.05, 'false h3': 1 },
    ...{ 'true h1': 1, 'true h3': 0.05 },
  });
  expect(value('overlayd_path_round_trip_seconds')['false h1']).toBe(0.0005);
  expect(value('overlayd_network_local_endpoints')).toEqual({ web0: 1, web1: 2 });
  expect(value('overlayd_network_free_addresses')['web0 ipv4']).toBe(256 - 4);
  expect(value('overlayd_network_addresses')['web0 ipv4']).toBe(256);
  expect(value('overlayd_kernel_problems')).toEqual({ '': 2 });
  expect(value('overlayd_tunnels')).toEqual({ well: 1, silent: 1 });
  expect(value('overlayd_tunnels_sent_bytes')).toEqual({ '': 22 });
  expect([value('overlayd_store_keepers'), value('overlayd_store_keepers_wanted')]).toEqual([{ '': 1 }, { '': 3 }]);
  expect(value('overlayd_certificate_expiry_timestamp_seconds')).toEqual({ node: 5, ca: 9 });
});

it('names as many networks and members as it may, those with most to tell first, and adds up the rest', async () => {
  const families = await collect(memberWith({ members: 200, networks: 150 }));
  const networks = valuesOf(families, 'overlayd_network_local_endpoints');
  expect(Object.keys(networks)).toHaveLength(101);
  expect(networks.web149).toBe(150);
  expect(networks['(others)']).toBe((50 * 51) / 2);
  const loss = valuesOf(families, 'overlayd_path_loss_ratio');
  expect(Object.keys(loss).filter((key) => key.startsWith('false '))).toHaveLength(64);
  expect(loss['false h200']).toBe(1);
  expect(valuesOf(families, 'overlayd_paths')).toMatchObject({ 'false passes': 199, 'false lost': 1 });
});
