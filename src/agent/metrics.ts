/**
 * What the agent shows of itself as metrics: read when somebody asks, out of what there is anyway. Scales: a look at each member and
 * at the networks of this host; of labels with names there are as many as the caps below say.
 */
import type { DiskRoom } from '../core/diagnosis.ts';
import type { NamesCounts } from '../core/dns/names-counts.ts';
import { FINDINGS } from '../core/finding.ts';
import { familyCounts } from '../core/ipam/address-counts.ts';
import { levelOf } from '../core/levels.ts';
import { dnsMetrics } from '../core/metrics/dns-metrics.ts';
import { type Family, families, type Sample, samplesOf } from '../core/metrics/family.ts';
import type { StepMeter } from '../core/metrics/step-meter.ts';
import type { PathStatus } from '../core/path/path.ts';
import type { NetworkRecord, NodeRecord } from '../core/records.ts';
import { familiesOf } from '../core/subnets.ts';
import type { Clock } from '../ports/runtime.ts';
import type { ProcessFacts } from '../ports/telemetry.ts';
import { nodeState } from './cluster/nodes.ts';
import type { Membership } from './lifecycle.ts';
import type { Member } from './member.ts';
import type { PathWatch } from './path/path-watch.ts';
import type { Report, Reported } from './report.ts';

export interface MetricsDeps {
  readonly report: Pick<Report, 'make'>;
  readonly meter: StepMeter;
  /** Of this host, by type, since the agent's start. */
  readonly events: ReadonlyMap<string, number>;
  /** `unknown`: the process that answers names is there and does not say; undefined: it does not answer. */
  readonly names: () => Promise<NamesCounts | 'unknown' | undefined>;
  readonly process: () => Promise<ProcessFacts>;
  /** Of the data directory. */
  readonly disk: () => Promise<DiskRoom>;
  /** When certificates of this host end, milliseconds since the epoch, by what they are. */
  readonly expiries: (membership: Membership) => Readonly<Record<string, number>>;
  readonly clock: Pick<Clock, 'now'>;
  readonly version: string;
}

/** Networks and members by name: what is beyond is counted, and not named. */
const MOST_NETWORKS = 100;
const MOST_MEMBERS = 64;
const OTHERS = '(others)';
const MEMBER_STATES = ['ready', 'joining', 'restarting', 'suspect', 'down'] as const;
const PATH_STATES = ['passes', 'loses', 'lost', 'unknown'] as const;

export class Metrics {
  readonly #deps: MetricsDeps;

  constructor(deps: MetricsDeps) {
    this.#deps = deps;
  }

  async collect(): Promise<readonly Family[]> {
    const { report, meter, names, process, disk, version, events } = this.#deps;
    const room = disk().catch(() => undefined);
    const [reported, counts, own, found] = await Promise.all([report.make(), names(), process(), room]);
    const { membership } = reported;
    return families({
      build: [{ labels: { version }, value: 1 }],
      member: membership ? 1 : 0,
      finding: findingSamples(reported),
      events: samplesOf('type', events),
      ...{ attach: meter.samples('attach'), detach: meter.samples('detach'), reconcile: meter.samples('reconcile') },
      ...{ store: meter.samples('store'), kernel: meter.samples('kernel') },
      ...{ control: meter.samples('control'), tool: meter.samples('tool') },
      ...(membership && this.#ofMember(membership, reported)),
      ...dnsMetrics(counts),
      ...own,
      ...{ diskFree: found?.freeBytes, diskSize: found?.totalBytes },
    });
  }

  #ofMember(membership: Membership, { engine }: Reported) {
    const { member } = membership;
    const { storeStatus } = membership;
    const { writes, repairs, problems } = member.reconciler.status();
    const expiries = Object.entries(this.#deps.expiries(membership)).map(([what, ms]) => [what, ms / 1_000] as const);
    return {
      members: this.#memberStates(member),
      level: levelOf(member.view),
      networks: member.networks.list().length,
      endpoints: member.view.endpointCount(),
      localEndpoints: member.local.all().length,
      releasesPending: member.releases.pending,
      ...networkSamples(member),
      ...pathSamples(membership),
      ...tunnelSamples(member),
      ...{ kernelWrites: writes, kernelRepairs: repairs, kernelProblems: problems.length },
      storeConnected: member.storeConnected ? 1 : 0,
      storeRevision: storeStatus().revision,
      storeKeepers: member.view.keepers()?.length ?? 0,
      storeKeepersWanted: member.view.keepers() === undefined ? 0 : (member.view.cluster()?.storeMembers ?? 1),
      certificateExpiry: samplesOf('certificate', expiries),
      ...(engine && { dockerConnected: engine.state === 'connected' ? 1 : 0 }),
    };
  }

  #memberStates(member: Member): Sample[] {
    const counts = new Map<string, number>(MEMBER_STATES.map((state) => [state, 0]));
    const deps = { selfId: member.self.id, liveness: (id: string) => member.liveness(id), clock: this.#deps.clock };
    for (const node of present(member)) {
      const state = nodeState(deps, node);
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return samplesOf('state', counts);
  }
}

function present({ view }: Pick<Member, 'view'>): NodeRecord[] {
  return [...view.nodes()].filter(({ left }) => !left);
}

/** Each code there is, so that one that has ended is seen to be zero. What may be nothing is there while it is. */
function findingSamples({ findings }: Reported): Sample[] {
  const certain = new Map<string, number>(Object.keys(FINDINGS).map((code) => [code, 0]));
  const likely = new Map<string, number>();
  for (const { code, certain: isCertain } of findings) {
    const counts = isCertain ? certain : likely;
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  const samples = (counts: ReadonlyMap<string, number>, text: string) =>
    Array.from(counts, ([code, value]): Sample => ({ labels: { code, certain: text }, value }));
  return [...samples(certain, 'true'), ...samples(likely, 'false')];
}

/** Of the networks that have endpoints on this host: the others are others' to tell of. */
function networkSamples({ local, view }: Member) {
  const here = local
    .networkIds()
    .flatMap((id): { network: NetworkRecord; count: number }[] => {
      const network = view.network(id);
      return network ? [{ network, count: local.countOn(id) }] : [];
    })
    .sort((a, b) => b.count - a.count || (a.network.name < b.network.name ? -1 : 1));
  const named = here.slice(0, MOST_NETWORKS);
  const rest = here.slice(MOST_NETWORKS).reduce((sum, { count }) => sum + count, 0);
  const counted = named.flatMap(({ network }) => {
    return familiesOf(network).map((family) => {
      const labels = { network: network.name, family: `ipv${family}` };
      return { labels, ...familyCounts(view, network, family) };
    });
  });
  return {
    networkLocalEndpoints: samplesOf('network', [
      ...named.map(({ network, count }) => [network.name, count] as const),
      ...(rest > 0 ? [[OTHERS, rest] as const] : []),
    ]),
    networkFreeAddresses: counted.map(({ labels, free }): Sample => ({ labels, value: free })),
    networkAddresses: counted.map(({ labels, total }): Sample => ({ labels, value: total })),
  };
}

function pathSamples({ encryptedPaths, member, paths }: Membership) {
  const all = [pathsOf(member, paths, 'false'), pathsOf(member, encryptedPaths, 'true')];
  const named = all.flatMap(({ worst }) => worst);
  const of = (value: (status: PathStatus) => number) =>
    named.map(({ labels, status }): Sample => ({ labels, value: value(status) }));
  return {
    paths: all.flatMap(({ counts }) => counts),
    pathLoss: of(({ state, lossPercent }) => (state === 'lost' ? 1 : lossPercent / 100)),
    pathRoundTrip: of(({ roundTripMs }) => roundTripMs / 1_000),
    pathMtu: of(({ mtu }) => mtu),
  };
}

/** How many there are of each state, and those that are named. */
function pathsOf(member: Member, paths: Pick<PathWatch, 'status'>, encrypted: string) {
  const counts = new Map<string, number>(PATH_STATES.map((state) => [state, 0]));
  const known: { readonly name: string; readonly status: PathStatus }[] = [];
  for (const node of present(member)) {
    const status = node.id === member.self.id ? undefined : paths.status(node);
    if (status === undefined) continue;
    counts.set(status.state, (counts.get(status.state) ?? 0) + 1);
    if (status.state !== 'unknown') known.push({ name: node.name, status });
  }
  const trouble = ({ status }: (typeof known)[number]) => (status.state === 'passes' ? 1 : 0);
  const worst = known.sort((a, b) => trouble(a) - trouble(b) || (a.name < b.name ? -1 : 1)).slice(0, MOST_MEMBERS);
  return {
    counts: Array.from(counts, ([state, value]): Sample => ({ labels: { encrypted, state }, value })),
    worst: worst.map(({ name, status }) => ({ labels: { encrypted, member: name }, status })),
  };
}

function tunnelSamples({ wireguard }: Member) {
  const tunnels = wireguard.peers();
  const silent = tunnels.filter(({ problem }) => problem !== undefined).length;
  const sum = (bytes: (tunnel: (typeof tunnels)[number]) => number) =>
    tunnels.reduce((total, tunnel) => total + bytes(tunnel), 0);
  return {
    tunnels: samplesOf('state', [
      ['well', tunnels.length - silent],
      ['silent', silent],
    ]),
    tunnelReceived: sum(({ receivedBytes }) => receivedBytes),
    tunnelSent: sum(({ sentBytes }) => sentBytes),
    wireguardEndings: wireguard.backend.endings.count,
  };
}
