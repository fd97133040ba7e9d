/**
 * That the oracle finds what agents forget: one host's agent plans less than it should, or something else, and has no reason to
 * complain. What a second reconcile writes is nothing then as well.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { addStaticNames } from '../../src/agent/names/static-names.ts';
import type { Op, Plan } from '../../src/core/host-state.ts';
import type { FilterSet } from '../../src/core/packet-filter.ts';
import { isOfRows, singleOps } from '../../src/core/plan/rows.ts';
import { keys } from '../../src/core/records.ts';
import type { WireguardOp } from '../../src/core/wireguard/state.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { checkAgainstTruth } from './oracle.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let forgetful: SimulatedHost;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 7 });
  await cluster.start(3);
  forgetful = cluster.hosts[1]!;
});

afterEach(() => cluster.stop());

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);

/** Networks of all kinds with endpoints on every host; of those that leave one is the forgetful host's. */
async function live(): Promise<void> {
  const [one] = cluster.hosts as [SimulatedHost];
  const { networks } = one.running;
  await until(networks.create(networkRequest('both', { ipv6: true, options: { multicast: 'true' } })));
  await until(networks.create(networkRequest('secret', { options: { encrypted: '' } })));
  await until(networks.create(networkRequest('inner', { internal: true })));
  await cluster.clock.advance(2_000);
  for (const host of cluster.hosts) {
    for (const network of ['both', 'secret', 'inner']) {
      const name = `${network}-${host.record.name}`;
      const wanted = { network, container: host.addContainer(), name, aliases: ['all'] };
      // What a mutant cannot finish is refused, and all the same claimed by the others.
      await until(host.running.endpoints.connect(wanted)).catch(() => undefined);
    }
  }
  const { commit, view } = one.running;
  const deps = { store: one.store, commit, view, networks };
  await until(addStaticNames(deps, 'both', { name: 'router', type: 'A', values: ['192.0.2.99'] }));
  for (const host of cluster.hosts.slice(1)) {
    const container = host.addContainer();
    const wanted = { network: 'both', container, name: `left-${host.record.name}`, aliases: [] };
    await until(host.running.endpoints.connect(wanted)).catch(() => undefined);
    await until(host.running.endpoints.disconnect('both', wanted.name, false)).catch(() => undefined);
  }
  await cluster.clock.advance(15_000);
}

/** Of each op that is planned, those that are carried out instead. */
function planning(host: SimulatedHost, change: (op: Op) => readonly Op[]): void {
  const apply = host.kernel.apply.bind(host.kernel);
  host.kernel.apply = async (plan: Plan) => {
    const stages = plan.stages.map(({ ops, ...stage }) => ({
      ...stage,
      ops: ops.flatMap((planned) =>
        (isOfRows(planned.op) ? singleOps(planned.op) : [planned.op])
          .flatMap((op) => change(op))
          .map((op) => ({ ...planned, op })),
      ),
    }));
    const { writes } = await apply({ ...plan, stages });
    return { writes, failures: [] };
  };
}

const without =
  (isForgotten: (op: Op) => boolean) =>
  (host: SimulatedHost): void =>
    planning(host, (op) => (isForgotten(op) ? [] : [op]));

/** Elements of sets whose names match. */
const emptied = (names: RegExp) => (host: SimulatedHost) => {
  const none = (sets: readonly FilterSet[]) =>
    sets.map((set) => (names.test(set.name) ? { ...set, elements: new Set<string>() } : set));
  planning(host, (op) => {
    if (op.kind === 'set-filter') return [{ ...op, filter: { ...op.filter, sets: none(op.filter.sets) } }];
    return op.kind === 'add-elements' ? [{ ...op, sets: none(op.sets) }] : [op];
  });
};

/** The same of WireGuard. */
function tunnelling(host: SimulatedHost, change: (op: WireguardOp) => readonly WireguardOp[]): void {
  const { wireguard } = host;
  const apply = wireguard.apply.bind(wireguard);
  wireguard.apply = (ops) => apply(ops.flatMap(change));
}

const isContainer = (op: Op) => 'at' in op && op.at.startsWith('/run/netns/');

const MUTANTS: readonly (readonly [name: string, mutate: (host: SimulatedHost) => void, found: RegExp])[] = [
  ['wants nothing', without(() => true), /h2/],
  ['forgets where the tunnel leads', without((op) => op.kind === 'set-fdb' && op.row.vtep !== undefined), /h2/],
  [
    'sends to the wrong host',
    (host) =>
      planning(host, (op) =>
        op.kind === 'set-fdb' && op.row.vtep === '192.0.2.3'
          ? [{ ...op, row: { ...op.row, vtep: '192.0.2.1' } }]
          : [op],
      ),
    /network (both|inner) on h2/,
  ],
  ['forgets neighbours', without((op) => op.kind === 'set-neighbour'), /network (both|inner) on h2/],
  [
    'forgets neighbours of IPv6',
    without((op) => op.kind === 'set-neighbour' && op.neighbour.link === 'vx0' && op.neighbour.address.includes(':')),
    /network (both|inner) on h2/,
  ],
  [
    'floods to nobody',
    without((op) => op.kind === 'set-fdb' && op.row.mac === '00:00:00:00:00:00'),
    /network (both|inner) on h2/,
  ],
  ['takes nothing down', without((op) => op.kind.startsWith('delete-')), /network (both|inner) on h2/],
  [
    'leaves rows of those that are gone',
    without((op) => op.kind === 'delete-fdb' || op.kind === 'delete-neighbour'),
    /network (both|inner) on h2/,
  ],
  ['makes no tunnel', without((op) => op.kind === 'add-vxlan'), /network (both|inner) on h2/],
  [
    'sends in clear',
    (host) =>
      planning(host, (op) =>
        op.kind === 'add-vxlan' ? [{ ...op, vxlan: { ...op.vxlan, socketAt: '', local: '192.0.2.2' } }] : [op],
      ),
    /network secret on h2/,
  ],
  ['lets nobody send', emptied(/^leases/), /leases of network \w+ on h2/],
  ['lets no member in', emptied(/^members/), /VXLAN is let in on h2/],
  ['knows no member', emptied(/^peers/), /members call h2/],
  ['lets encrypted networks out', emptied(/^encrypted/), /leaves h2 in clear/],
  ['masquerades nothing', emptied(/^subnets/), /masqueraded by h2/],
  ['has no way to its networks', without((op) => op.kind === 'set-route' && op.at === ''), /routes of h2/],
  [
    'forgets gateways',
    without((op) => op.kind === 'add-address' && op.at.startsWith('ovl-')),
    /network (both|inner) on h2/,
  ],
  ['gives containers no address', without((op) => op.kind === 'add-address' && isContainer(op)), /both-h2 in/],
  ['gives containers no way out', without((op) => op.kind === 'set-route' && isContainer(op)), /default route/],
  [
    'gives containers of internal networks a way out',
    (host) =>
      planning(host, (op) => {
        if (op.kind === 'delete-route' && isContainer(op)) return [];
        if (op.kind !== 'add-address' || !isContainer(op) || !op.address.address.startsWith('10.0.2.')) return [op];
        const { at } = op;
        const { link } = op.address;
        const route = { destination: 'default', gateway: '10.0.2.1', link, protocol: '79' };
        return [op, { kind: 'set-link', at, name: link, set: { up: true } }, { kind: 'set-route', at, route }];
      }),
    /default route of IPv4 of inner-h2/,
  ],
  [
    'makes frames too large',
    (host) =>
      planning(host, (op) => {
        if (op.kind === 'set-link' && op.set.mtu !== undefined) return [{ ...op, set: { ...op.set, mtu: 1_500 } }];
        return 'mtu' in op ? [{ ...op, mtu: 1_500 }] : [op];
      }),
    /vx0|br0|up0/,
  ],
  ['makes no device', (host) => tunnelling(host, () => []), /h2/],
  [
    'leaves a member out',
    (host) =>
      tunnelling(host, (op) => {
        if (op.kind === 'set-peer') return [];
        return op.kind === 'add-device' ? [{ ...op, device: { ...op.device, peers: op.device.peers.slice(1) } }] : [op];
      }),
    /peers of ovlwg0 on h2/,
  ],
  ['sends by no device', (host) => tunnelling(host, (op) => (op.kind === 'send-by' ? [] : [op])), /h2 sends by/],
  [
    'tells no names',
    ({ names }) => {
      names.hears = (news) => (news.kind === 'zone' ? { ...news, set: [] } : news);
    },
    /A \w+-h1 on network \w+ of h2/,
  ],
  [
    'goes on to tell names of those that are gone',
    ({ names }) => {
      names.hears = (news) => (news.kind === 'zone' ? { ...news, removed: [] } : news);
    },
    /left-h\d on network both of h2, which is gone/,
  ],
  [
    'tells no names that persons gave',
    ({ names }) => {
      names.hears = (news) => (news.kind === 'static' ? undefined : news);
    },
    /router/,
  ],
];

it('finds nothing where nothing is forgotten', async () => {
  await live();
  await checkQuiet(cluster);
});

it.each(MUTANTS)('finds an agent that %s', async (_, mutate, found) => {
  mutate(forgetful);
  await live();
  await expect(checkAgainstTruth(cluster)).rejects.toThrow(found);
});

it('finds a record that one member missed', async () => {
  await live();
  const [entry] = cluster.etcd.entries(keys.quarantineOn(cluster.hosts[0]!.running.networks.list()[0]!.id));
  expect(entry).toBeDefined();
  const { table } = forgetful.running;
  const records = () => [...table.records()].filter(({ key }) => key !== entry!.key);
  Object.defineProperty(forgetful.running, 'table', { value: { records } });
  await expect(checkAgainstTruth(cluster)).rejects.toThrow(/h2/);
});
