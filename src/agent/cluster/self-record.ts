/**
 * Keeps this node's own record true: what surrounds the host, and its MTU, change while the agent runs. Whoever hears of
 * a change says so; the files that name the host's name servers tell nobody, nor does a router that names another MTU for a
 * link's packets of IPv6 (RFC 4861, 4.6.4): these are looked at now and then.
 */
import { isOverlaydError } from '../../core/errors.ts';
import { SEED_REVISION } from '../../core/gossip/replica.ts';
import { familyOf } from '../../core/ip.ts';
import { type AgentVersion, levelOf, levelsOf, STORE_LEVEL, speaks } from '../../core/levels.ts';
import { encodeRecord, nodeWith } from '../../core/record-codec.ts';
import { keys, type LiveRecord, type NodeRecord, SUBNET_GUARD } from '../../core/records.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { ClusterStore, Compare } from '../../ports/store.ts';
import { isUsableIpv6, lookAround, remembering } from '../host/surroundings.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import type { Change, Commit } from '../view/commit.ts';
import type { Trust } from './certification.ts';
import { type NumberChanges, numberChanges, type OwnOffer } from './key-numbers.ts';

export interface SelfRecordDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly commit: Commit;
  readonly state: ClusterState;
  readonly facts: HostFacts;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  /** There may be something to {@link SelfRecord.refresh}. */
  readonly onChange: () => void;
  /** In words, when an address of this host is lost. */
  readonly addressProblem: () => string | undefined;
  /** The CAs that are in use here. */
  readonly trust: () => Trust | undefined;
  /** Its WireGuard keys. */
  readonly ownOffer?: OwnOffer | undefined;
  /** Whether it could run a member of the store; undefined: it could not. */
  readonly storeOffer?: (() => Promise<Pick<NodeRecord, 'store' | 'storeProblem'>>) | undefined;
}

export interface SelfRecordOptions {
  /** This node as its own files have it. */
  readonly self: NodeRecord;
  readonly agent: AgentVersion;
  /** URLs at which this host reaches etcd. */
  readonly storeEndpoints: readonly string[];
}

const LOOK_MS = 10_000;
const LOOKS_PER_MTU = 3;

export class SelfRecord {
  readonly #deps: SelfRecordDeps;
  readonly #options: SelfRecordOptions;
  readonly #around: Parameters<typeof lookAround>[0];
  #changed = true;

  constructor(deps: SelfRecordDeps, options: SelfRecordOptions) {
    this.#deps = deps;
    this.#options = options;
    const { facts } = deps;
    this.#around = {
      addresses: () => facts.addresses(),
      routes: () => facts.routes(),
      nameServers: () => facts.nameServers(),
      lookUp: remembering((hostName) => facts.lookUp(hostName)),
    };
  }

  /** The host, or what its record is computed from, changed. */
  markChanged(): void {
    this.#changed = true;
    this.#deps.onChange();
  }

  /** Ends when the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock, facts, storeOffer } = this.#deps;
    const hasRouters = familyOf(this.#options.self.vtep) === 6;
    let before: string | undefined;
    let offered: string | undefined;
    for (let look = 1; !signal.aborted; look++) {
      const now = (await facts.nameServers()).join(' ');
      const isOther = before !== undefined && now !== before;
      const isLong = look % LOOKS_PER_MTU === 0;
      const offer = isLong ? JSON.stringify(await storeOffer?.()) : offered;
      if (isOther || (hasRouters && isLong) || offer !== offered) this.markChanged();
      before = now;
      offered = offer;
      await clock.sleep(LOOK_MS, signal, 'loosely');
    }
  }

  /** Throws what the store throws; is then to be called again. */
  async refresh(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    let done = false;
    try {
      done = await refreshSelfRecord({ ...this.#deps, around: this.#around }, this.#options);
    } finally {
      if (!done) this.markChanged();
    }
  }
}

/**
 * Writes only when something changed. Does nothing when the node is no member any more: removal stands. False: somebody
 * else wrote meanwhile, so that it has to be done again.
 */
async function refreshSelfRecord(
  {
    commit,
    store,
    state,
    facts,
    around,
    clock,
    addressProblem,
    trust,
    ownOffer,
    storeOffer,
  }: SelfRecordDeps & { around: Parameters<typeof lookAround>[0] },
  { self: { id: selfId, advertiseAddress, vtep, holdsStore, nat }, agent, storeEndpoints }: SelfRecordOptions,
): Promise<boolean> {
  const key = keys.node(selfId);
  const current = state.view.node(selfId);
  const revision = state.revisionOf(key);
  if (!current || revision === undefined) return true;
  // What cannot be read is not written over, nor is a cluster touched that has gone on without this agent.
  if (state.view.unreadable.has(key) || !speaks(agent.levels, levelOf(state.view))) return true;
  const isPeer = (node: NodeRecord) => node.id !== selfId && !node.left && !node.nat;
  const peers = [...state.view.nodes()].filter(isPeer).map((node) => node.vtep);
  const [surroundings, underlay] = await Promise.all([
    lookAround(around, storeEndpoints),
    underlayOf(facts, current, vtep, peers),
  ]);
  const offeredStore = levelOf(state.view) >= STORE_LEVEL ? await storeOffer?.() : undefined;
  // Since there is a record that keepers write, the node does not say it itself.
  const isKept = state.view.keepers() !== undefined;
  const offer = await ownOffer?.offer(current);
  const next = nodeWith(current, {
    ...{ ...agent, advertiseAddress, vtep, ...surroundings, ...underlay },
    holdsStore: isKept ? undefined : holdsStore,
    store: offeredStore?.store,
    storeProblem: offeredStore?.storeProblem,
    ...(nat && { nat }),
    addressProblem: addressProblem(),
    ...(levelOf(state.view) >= STORE_LEVEL && trust()),
    wireguard: offer === 'none' ? undefined : (offer ?? current.wireguard),
  });
  const numbers = numberChanges({ view: state.view, revisionOf: (of) => state.revisionOf(of) }, selfId, offer);
  if (revision <= SEED_REVISION) {
    await enterAgain({ commit, state }, { ...next, joinedAt: next.joinedAt || clock.now() }, numbers);
    return true;
  }
  const isPublished = async () => {
    if (offer && offer !== 'none') await ownOffer?.published(offer);
    return true;
  };
  if (encodeRecord(next) === encodeRecord(current) && numbers.changes.length === 0) return isPublished();
  const changes: Change[] = [{ kind: 'put', key, record: next }, ...numbers.changes];
  // Whoever is choosing a subnet, or a level, at this moment has to look again.
  if (guardedPart(next) !== guardedPart(current)) changes.push({ kind: 'put', key: SUBNET_GUARD, record: selfId });
  const compares: Compare[] = [{ kind: 'revision', key, revision }, ...numbers.compares];
  const clusterRevision = state.revisionOf(keys.cluster);
  // Who speaks less than before must not do so in a cluster that has just been raised.
  if (clusterRevision !== undefined && levelsText(next) !== levelsText(current)) {
    compares.push({ kind: 'revision', key: keys.cluster, revision: clusterRevision });
  }
  if (await commit(compares, changes)) return isPublished();
  const entry = await store.get(key);
  if (!entry) return true;
  const others = await Promise.all(numbers.compares.flatMap((each) => ('key' in each ? [store.get(each.key)] : [])));
  state.learn([entry, ...others.filter((other) => other !== undefined)]);
  return false;
}

/**
 * An etcd that has fallen back behind what it was may lack this node, which was admitted since. Nothing is done where it
 * lacks the cluster, or another node has the name or the data path's address by now.
 */
async function enterAgain(
  { commit, state }: Pick<SelfRecordDeps, 'commit' | 'state'>,
  node: NodeRecord,
  numbers: NumberChanges,
): Promise<void> {
  const isOther = ({ id, left, nat, vtep }: NodeRecord) =>
    id !== node.id && !left && !nat && !node.nat && vtep === node.vtep;
  if (!state.view.behind || [...state.view.nodes()].some(isOther)) return;
  const [key, nameKey] = [keys.node(node.id), keys.nodeName(node.name)];
  const clusterRevision = state.revisionOf(keys.cluster);
  if (clusterRevision === undefined) return;
  await commit(
    [
      { kind: 'revision', key: keys.cluster, revision: clusterRevision },
      { kind: 'absent', key },
      { kind: 'absent', key: nameKey },
      ...numbers.compares,
    ],
    [
      ...numbers.changes,
      { kind: 'put', key, record: node },
      { kind: 'put', key: nameKey, record: node.id },
      { kind: 'put', key: SUBNET_GUARD, record: node.id },
    ],
  );
}

/** What others have to look at again when it changes, and therefore compare the guard. */
function guardedPart(node: NodeRecord): string {
  const { advertiseAddress, vtep, hostRoutes, linkRoutes, neededAddresses } = node;
  return JSON.stringify([advertiseAddress, vtep, hostRoutes, linkRoutes, neededAddresses, levelsText(node)]);
}

function levelsText(node: NodeRecord): string {
  const { from, to } = levelsOf(node);
  return `${from}-${to}`;
}

/** `answersProbes`: it answers those that go by any path. */
export function liveRecord(of: Omit<LiveRecord, 'answersProbes'>, answersProbes: true | undefined): LiveRecord {
  return { ...of, ...(answersProbes && { answersProbes, answersEncrypted: true, answersNetworks: true }) };
}

/**
 * The own record as an agent begins with it, before etcd or a member has told it: what networks are made by is measured, or
 * the start would change networks that are right, and change them back.
 */
export async function measured(
  facts: Pick<HostFacts, 'addresses' | 'underlay'>,
  self: NodeRecord,
): Promise<NodeRecord> {
  const [addresses, underlay] = await Promise.all([facts.addresses(), underlayOf(facts, self, self.vtep, [])]);
  return { ...self, ...underlay, hasIpv6: addresses.some(isUsableIpv6) };
}

/** As it was, while the host has no such address: that is a problem which is told elsewhere. */
async function underlayOf(
  facts: Pick<HostFacts, 'underlay'>,
  current: NodeRecord,
  vtep: string,
  peers: readonly string[],
): Promise<Pick<NodeRecord, 'underlayMtu' | 'underlayLimit'>> {
  try {
    const { mtuBytes, limit } = await facts.underlay(vtep, peers);
    return { underlayMtu: mtuBytes, underlayLimit: limit };
  } catch (error) {
    if (isOverlaydError(error) && error.code === 'invalid-address') return { underlayMtu: current.underlayMtu };
    throw error;
  }
}
