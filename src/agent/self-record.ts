/**
 * Keeps this node's own record true: what surrounds the host, and its MTU, change while the agent runs. Whoever hears of
 * a change says so; the files that name the host's name servers tell nobody, and are looked at now and then.
 */
import { isOverlaydError } from '../core/errors.ts';
import { SEED_REVISION } from '../core/gossip/replica.ts';
import { decodeNode, encodeRecord } from '../core/record-codec.ts';
import { keys, type NodeRecord, SUBNET_GUARD } from '../core/records.ts';
import type { Clock, ClusterStore, HostFacts } from '../ports.ts';
import type { ClusterState } from './cluster-state.ts';
import type { Change, Commit } from './commit.ts';
import { lookAround, remembering } from './surroundings.ts';

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
}

export interface SelfRecordOptions {
  /** This node as its own files have it. */
  readonly self: NodeRecord;
  /** URLs at which this host reaches etcd. */
  readonly storeEndpoints: readonly string[];
}

const LOOK_MS = 5_000;

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
    const { clock, facts } = this.#deps;
    let before: string | undefined;
    while (!signal.aborted) {
      const now = (await facts.nameServers()).join(' ');
      if (before !== undefined && now !== before) this.markChanged();
      before = now;
      await clock.sleep(LOOK_MS, signal);
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
  }: SelfRecordDeps & { around: Parameters<typeof lookAround>[0] },
  { self: { id: selfId, advertiseAddress, vtep, holdsStore }, storeEndpoints }: SelfRecordOptions,
): Promise<boolean> {
  const key = keys.node(selfId);
  const current = state.view.node(selfId);
  const revision = state.revisionOf(key);
  if (!current || revision === undefined) return true;
  const peers = [...state.view.nodes()].filter((node) => node.id !== selfId && !node.left).map((node) => node.vtep);
  const [surroundings, underlayMtu] = await Promise.all([
    lookAround(around, storeEndpoints),
    underlayMtuOf(facts, current, vtep, peers),
  ]);
  const { addressProblem: _, ...kept } = current;
  const problem = addressProblem();
  const next: NodeRecord = {
    ...kept,
    ...{ advertiseAddress, vtep, ...surroundings, underlayMtu },
    ...(holdsStore && { holdsStore }),
    ...(problem !== undefined && { addressProblem: problem }),
  };
  if (revision <= SEED_REVISION) {
    await enterAgain({ commit, state }, { ...next, joinedAt: next.joinedAt || clock.now() });
    return true;
  }
  if (encodeRecord(next) === encodeRecord(current)) return true;
  const changes: Change[] = [{ kind: 'put', key, record: next }];
  // Whoever is choosing a subnet at this moment has to look again.
  if (needsOf(next) !== needsOf(current)) changes.push({ kind: 'put', key: SUBNET_GUARD, record: selfId });
  if (await commit([{ kind: 'revision', key, revision }], changes)) return true;
  const entry = await store.get(key);
  if (!entry) return true;
  if (decodeNode(entry.value)) state.learn([entry]);
  return false;
}

/**
 * An etcd that has fallen back behind what it was may lack this node, which was admitted since. Nothing is done where it
 * lacks the cluster, or another node has the name or the data path's address by now.
 */
async function enterAgain(
  { commit, state }: Pick<SelfRecordDeps, 'commit' | 'state'>,
  node: NodeRecord,
): Promise<void> {
  const isOther = ({ id, left, vtep }: NodeRecord) => id !== node.id && !left && vtep === node.vtep;
  if (!state.view.behind || [...state.view.nodes()].some(isOther)) return;
  const [key, nameKey] = [keys.node(node.id), keys.nodeName(node.name)];
  await commit(
    [
      { kind: 'exists', key: keys.cluster },
      { kind: 'absent', key },
      { kind: 'absent', key: nameKey },
    ],
    [
      { kind: 'put', key, record: node },
      { kind: 'put', key: nameKey, record: node.id },
      { kind: 'put', key: SUBNET_GUARD, record: node.id },
    ],
  );
}

function needsOf({ advertiseAddress, vtep, hostRoutes, linkRoutes, neededAddresses }: NodeRecord): string {
  return JSON.stringify([advertiseAddress, vtep, hostRoutes, linkRoutes, neededAddresses]);
}

/** As it was, while the host has no such address: that is a problem which is told elsewhere. */
async function underlayMtuOf(
  facts: HostFacts,
  current: NodeRecord,
  vtep: string,
  peers: readonly string[],
): Promise<number> {
  try {
    return await facts.underlayMtu(vtep, peers);
  } catch (error) {
    if (isOverlaydError(error) && error.code === 'invalid-address') return current.underlayMtu;
    throw error;
  }
}
