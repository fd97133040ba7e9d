/**
 * What `overlayd doctor` does: the report that `status` has, and what costs more than one wants to pay all the time, looked at
 * now. Reads only: what it asks of other hosts is a connection that is closed at once, and packets by the path that they
 * wait for. Each look is by itself: one that fails is told as skipped.
 */
import {
  bothPathsSeen,
  type Check,
  type CheckName,
  checksOf,
  type DiskRoom,
  judgeDisk,
  judgeForwarding,
  judgeKeepers,
  judgeLeftOvers,
  judgePool,
  judgeStoreFile,
  judgeStoreSpeed,
  judgeStrays,
  judgeVersions,
  type NeighbourOverflows,
  NeighbourTables,
  pathsSeen,
  type Seen,
  withNetworks,
} from '../core/diagnosis.ts';
import { asOverlaydError, OverlaydError } from '../core/errors.ts';
import { type Finding, type FindingCode, FindingTimes, type Found } from '../core/finding.ts';
import { familyCounts } from '../core/ipam/address-counts.ts';
import { describeMillis } from '../core/millis.ts';
import { isEncrypted } from '../core/network-options.ts';
import { foreignLinks } from '../core/plan/namespace.ts';
import { isUplink, namespaceOf, namespaceOfUplink } from '../core/plan/naming.ts';
import { keys, type NetworkRecord, type NodeRecord } from '../core/records.ts';
import { resolveRef } from '../core/reference.ts';
import { STORE_QUOTA_BYTES } from '../core/store-upkeep.ts';
import { familiesOf } from '../core/subnets.ts';
import type { Kernel } from '../ports/kernel.ts';
import type { Clock } from '../ports/runtime.ts';
import { Standing } from './findings-watch.ts';
import { knockAt } from './knock-at.ts';
import type { Membership } from './lifecycle.ts';
import type { Member } from './member.ts';
import type { Report } from './report.ts';

export interface DoctorDeps {
  readonly report: Report;
  readonly kernel: Pick<Kernel, 'observe'>;
  readonly clock: Pick<Clock, 'now' | 'elapsed'>;
  /** A TCP connection, closed at once: in words why there is none. */
  readonly knock: (host: string, port: number) => Promise<string | undefined>;
  /** Of the data directory. */
  readonly disk: () => Promise<DiskRoom>;
  /** Of etcd's records of that network's addresses, or of all: what contradicts itself or is nobody's, in words. */
  readonly strayAddresses: (membership: Membership, network: string) => Promise<readonly string[]>;
  readonly neighbourOverflows: () => Promise<NeighbourOverflows>;
}

export interface DoctorOptions {
  readonly dataDir: string;
  readonly version: string;
}

export interface Asked {
  /** Names or ids; empty: all. */
  readonly network: string;
  readonly peer: string;
  /** Version of the command that asks; empty: it does not say. */
  readonly commandVersion: string;
}

export interface Diagnosed {
  readonly checks: readonly Check[];
  readonly findings: readonly Finding[];
}

interface Looked {
  readonly findings: readonly Found[];
  readonly seen?: string;
  /** What it looked at, where that is not all there is. */
  readonly subjects?: ReadonlySet<string>;
}

interface Look {
  readonly check: CheckName;
  /** What it finds for certain. */
  readonly codes: readonly FindingCode[];
  readonly look: () => Looked | Promise<Looked>;
}

function look(check: CheckName, codes: readonly FindingCode[], look: Look['look']): Look {
  return { check, codes, look };
}

/** Of many peers so many are asked at a time, and as many by each look that nobody asked for. */
const AT_ONCE = 32;

export class Doctor {
  readonly #deps: DoctorDeps;
  readonly #options: DoctorOptions;
  readonly #times = new FindingTimes();
  readonly #standing = new Standing();
  readonly #neighbours = new NeighbourTables();
  #nextPeer = 0;

  constructor(deps: DoctorDeps, options: DoctorOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** What was found for certain by the last looks. */
  get standing(): readonly Found[] {
    return this.#standing.findings;
  }

  /**
   * Looks at what costs little, at some of the peers; what it finds stands from then on. `isCloser`: only at what is in doubt. Returns
   * whether something is.
   */
  async lookAgain(isCloser = false): Promise<boolean> {
    const { membership } = this.#deps.report;
    const ofMember = membership ? (isCloser ? this.#closer(membership) : this.#again(membership)) : [];
    const looks = [...(isCloser ? [] : this.#ofHost()), ...ofMember];
    for (const each of looks) {
      // One that fails tells nothing new.
      const looked = await Promise.resolve(each.look()).catch(() => undefined);
      if (looked) this.#note(each, looked);
    }
    this.#standing.replace([], (each) => !isMeant(membership?.member, each));
    return this.#standing.inDoubt.length > 0;
  }

  /** At ports of members that are heard, which did not answer: a host that is just starting or busy is well a moment later. */
  #closer({ member }: Membership): Look[] {
    const named = new Set(this.#standing.inDoubt.map(({ subject }) => subject));
    const isHeard = ({ id }: NodeRecord) => member.liveness(id) === 'ready';
    return this.#knocks(peersOf(member, '').filter((node) => named.has(node.name) && isHeard(node)));
  }

  #again(membership: Membership): Look[] {
    const { member } = membership;
    const here = networksHere(member);
    const peers = peersOf(member, '');
    const from = this.#nextPeer < peers.length ? this.#nextPeer : 0;
    this.#nextPeer = from + AT_ONCE;
    return [
      ...this.#knocks(peers.slice(from, from + AT_ONCE)),
      look('way out', ['forwarding-off'], () => this.#forwarding(member, here)),
      look('room in networks', ['pool-full'], () => poolFindings(member, here)),
      ...(isKeeper(member) ? [look('store', ['store-near-quota'], () => this.#storeFiles(membership))] : []),
    ];
  }

  /** Of what was looked at, whatever it found before. */
  #note({ codes }: Pick<Look, 'codes'>, { findings, subjects }: Looked): void {
    const isCovered = ({ code, subject }: Found) => codes.includes(code) && (subjects?.has(subject) ?? true);
    this.#standing.replace(
      findings.filter(({ code }) => codes.includes(code)),
      isCovered,
    );
  }

  /** Throws `network-not-found`, `node-not-found`, `not-joined` where one is asked for and this host is no member. */
  async diagnose(asked: Asked): Promise<Diagnosed> {
    // Before the store is asked for anything else: what comes right behind an answer is answered at once, by one that stalls as well.
    const storeSpeed = this.#storeSpeed();
    storeSpeed.catch(() => undefined);
    const paths = await this.#examine(asked);
    const { membership, findings: known } = await this.#deps.report.make();
    if (!membership && (asked.network !== '' || asked.peer !== '')) throw notMember();
    const skipped: Partial<Record<CheckName, string>> = {};
    const seen: Partial<Record<CheckName, string>> = {};
    const found: Found[] = [];
    Object.assign(skipped, paths.skipped);
    Object.assign(seen, paths.seen);
    const looks = [...this.#ofHost(), ...(membership ? this.#ofMember(membership, asked, storeSpeed) : [])];
    await Promise.all(
      looks.map(async (each) => {
        const name = each.check;
        try {
          const looked = await each.look();
          // Of a part of what there is the rest is not known to have ended.
          if (asked.network === '' && asked.peer === '') this.#note(each, looked);
          found.push(...looked.findings);
          if (looked.seen) seen[name] = seen[name] ? `${seen[name]}; ${looked.seen}` : looked.seen;
        } catch (error) {
          skipped[name] = asOverlaydError(error).message;
        }
      }),
    );
    if (!membership) for (const name of OF_MEMBERS) skipped[name] ??= 'this host is no member of a cluster';
    const also = found.filter(
      (each) => !known.some(({ code, subject }) => code === each.code && subject === each.subject),
    );
    const dated = this.#times.date(also, this.#deps.clock.now());
    const all = [...known, ...dated].filter((each) => concerns(each, asked, membership));
    return { checks: checksOf(all, seen, skipped), findings: all };
  }

  /** Before the report is made, which tells what this finds. */
  async #examine({ network, peer }: Asked): Promise<Seen> {
    const { membership } = this.#deps.report;
    if (!membership) return { seen: {}, skipped: {} };
    const { encryptedPaths, member, networkPaths, paths } = membership;
    // What could not be read is as it was.
    await membership.lookAtFirewalls().catch(() => undefined);
    const [of] = network === '' ? [] : networksOf(member, network);
    const isOn = ({ id }: NodeRecord) => !of || [...member.view.endpointsOn(of.id)].some(({ nodeId }) => nodeId === id);
    const peers = peersOf(member, peer).filter(isOn);
    const watches = of ? [isEncrypted(of) ? encryptedPaths : paths] : [paths, encryptedPaths];
    await Promise.all(watches.map((watch) => watch.examine(peers)));
    const none = of ? `no other host has containers on ${of.name}` : 'there is no other member';
    const [first, second] = watches.map((watch) =>
      pathsSeen(
        peers.map((node) => ({ skipped: watch.skipped(node), status: watch.status(node) })),
        none,
      ),
    );
    const seen = second ? bothPathsSeen(first!, second) : first!;
    // These are told of where the path itself passes, as is known by now.
    const known = await networkPaths.examine(of ? [of] : member.networks.list(), peers);
    const why = of && known === 0 ? networkPaths.skipped(of, peers) : undefined;
    return withNetworks(seen, known, why);
  }

  #ofHost(): Look[] {
    const { clock, disk, neighbourOverflows } = this.#deps;
    const { dataDir } = this.#options;
    return [
      look('disk', ['disk-full'], async () => ({ findings: judgeDisk(await disk(), dataDir) })),
      look('kernel', ['neighbours-overflowed'], async () => {
        this.#neighbours.note(await neighbourOverflows(), clock.now());
        return { findings: this.#neighbours.findings() };
      }),
    ];
  }

  #ofMember(membership: Membership, { network, peer, commandVersion }: Asked, storeSpeed: Promise<Looked>): Look[] {
    const { member } = membership;
    const networks = networksOf(member, network);
    const peers = peersOf(member, peer);
    return [
      ...this.#knocks(peers),
      look('way out', ['forwarding-off'], () => this.#forwarding(member, networks)),
      look('kernel', [], () => this.#leftOvers(member)),
      look('room in networks', ['pool-full'], () => poolFindings(member, networks)),
      look('store', [], () => storeSpeed),
      look('store', ['store-near-quota'], () => this.#storeFiles(membership)),
      look('records', [], () => this.#strayAddresses(membership, network)),
      look('versions', [], () => ({
        findings: judgeVersions(member.view.nodes(), this.#options.version, commandVersion),
      })),
    ];
  }

  async #strayAddresses(membership: Membership, network: string): Promise<Looked> {
    if (!membership.member.storeConnected) return { findings: [] };
    return { findings: judgeStrays(await this.#deps.strayAddresses(membership, network)) };
  }

  #knocks(peers: readonly NodeRecord[]): Look[] {
    const { knock } = this.#deps;
    return [
      look('gossip port', ['gossip-blocked'], () => knockAt('gossip', peers, { knock, atOnce: AT_ONCE })),
      look('join port', ['join-blocked'], () => knockAt('join', peers, { knock, atOnce: AT_ONCE })),
    ];
  }

  async #forwarding(member: Member, networks: readonly NetworkRecord[]): Promise<Looked> {
    const out = networks.filter(({ id, internal }) => !internal && member.local.hasOnNetwork(id));
    if (out.length === 0) return { findings: [] };
    const { host } = await this.#deps.kernel.observe({ host: true, networks: [], containers: [], ports: [] });
    if (!host) return { findings: [] };
    return {
      findings: judgeForwarding(
        host.forwarding,
        out.map(({ name }) => name),
      ),
    };
  }

  async #leftOvers(member: Member): Promise<Looked> {
    if (!member.view.provesAbsence) return { findings: [] };
    const { kernel } = this.#deps;
    const { host, namespaces } = await kernel.observe({ host: true, networks: [], containers: [], ports: [] });
    // Of one that is going a network's members are still letting go.
    const known = new Set([...member.view.networks()].map(({ vni }) => namespaceOf(vni)));
    const left = [...(namespaces?.keys() ?? [])].filter((name) => !known.has(name)).sort();
    const inside = await kernel.observe({ host: true, networks: left, containers: [], ports: [] });
    const uplinks = [...(host?.links.keys() ?? [])].filter(
      (name) => isUplink(name) && !known.has(namespaceOfUplink(name)),
    );
    const all = left.map((name) => ({ name, foreign: foreignLinks(name, inside) }));
    return { findings: judgeLeftOvers(all, uplinks.sort()) };
  }

  async #storeSpeed(): Promise<Looked> {
    const { clock, report } = this.#deps;
    const { membership } = report;
    if (!membership?.member.storeConnected) return { findings: [] };
    const askedAt = clock.elapsed();
    const problem = await membership.store.get(keys.cluster).then(() => undefined, asOverlaydError);
    const tookMs = clock.elapsed() - askedAt;
    const findings = judgeStoreSpeed(tookMs, problem?.message);
    if (problem && findings.length === 0) throw problem;
    return { findings, seen: `answered in ${describeMillis(tookMs)}` };
  }

  async #storeFiles({ member, storeSide }: Membership): Promise<Looked> {
    if (!member.storeConnected) return { findings: [] };
    const { bundled, members, wanted, outlook } = await storeSide.report();
    // What quota an etcd of the user's own has it does not say.
    if (!bundled) return { findings: [], seen: 'an etcd of your own' };
    const files = members.filter(({ answers }) => answers);
    const voting = members.filter(({ role }) => role !== 'learner');
    const hosts = [...member.view.nodes()].filter(({ left, nat }) => !left && !nat).length;
    return {
      findings: [
        ...files.flatMap(({ nodeName, url, size }) =>
          judgeStoreFile({ name: nodeName || url, bytes: size, quotaBytes: STORE_QUOTA_BYTES }),
        ),
        ...judgeKeepers(voting.length, wanted, hosts, outlook),
      ],
      seen: `kept by ${voting.length} of ${wanted}`,
    };
  }
}

const OF_MEMBERS: readonly CheckName[] = [
  ...(['data path', 'MTU', 'gossip port', 'join port', 'clock', 'addresses of hosts', 'way out', 'names'] as const),
  ...(['containers', 'room in networks', 'store', 'records', 'certificates', 'versions'] as const),
];

function poolFindings(member: Member, networks: readonly NetworkRecord[]): Looked {
  const findings = networks.flatMap((network) =>
    familiesOf(network).flatMap((family) => {
      const { total, free } = familyCounts(member.view, network, family);
      return judgePool({ network: network.name, total, free, family });
    }),
  );
  const seen = networks.length === 1 ? '1 network' : `${networks.length} networks`;
  return { findings, seen, subjects: new Set(networks.map(({ name }) => name)) };
}

function networksHere({ local, networks }: Member): readonly NetworkRecord[] {
  return networks.list().filter(({ id }) => local.hasOnNetwork(id));
}

function isKeeper({ self, view }: Pick<Member, 'self' | 'view'>): boolean {
  return view.keepers()?.includes(self.id) ?? false;
}

/** Whether looks that nobody asks for come to what it is of: they do not find that a host, a network is gone. */
function isMeant(member: Member | undefined, { code, subject }: Found): boolean {
  if (code === 'disk-full' || code === 'neighbours-overflowed') return true;
  if (!member) return false;
  const isNamed = ({ name }: { readonly name: string }) => name === subject;
  if (code === 'gossip-blocked' || code === 'join-blocked')
    return peersOf(member, '').some((each) => !each.nat && isNamed(each));
  if (code === 'pool-full') return networksHere(member).some(isNamed);
  return code !== 'store-near-quota' || isKeeper(member);
}

/** Of this host and all others; of one peer or network what is of another one is left out. */
function concerns({ subject }: Finding, { network, peer }: Asked, membership: Membership | undefined): boolean {
  if (!membership || subject === '') return true;
  const { view } = membership.member;
  const isNode = [...view.nodes()].some(({ name }) => name === subject);
  if (peer !== '' && isNode) return peersOf(membership.member, peer).some(({ name }) => name === subject);
  const of = view.networkByName(subject);
  return !of || networksOf(membership.member, network).some(({ id }) => id === of.id);
}

function networksOf({ networks }: Pick<Member, 'networks'>, network: string): readonly NetworkRecord[] {
  const all = networks.list();
  return network === '' ? all : [resolveRef(all, network, 'network')];
}

export function peersOf({ self, view }: Pick<Member, 'self' | 'view'>, peer: string): readonly NodeRecord[] {
  const others = [...view.nodes()].filter(({ id, left }) => id !== self.id && !left);
  if (peer === '') return others;
  const node = resolveRef(others, peer, 'node');
  return [node];
}

function notMember(): OverlaydError {
  return new OverlaydError('not-joined', 'this host is no member of a cluster; run `overlayd init` or `overlayd join`');
}
