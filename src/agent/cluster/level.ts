/**
 * The cluster's level as a member meets it. An agent that does not speak it does nothing until it does; any member raises
 * it as soon as all of them speak the next one.
 *
 * Safe against a host that joins, or an agent that is rolled back, at the same moment: who adds a member, or has its own
 * record say another range, writes the guard and compares the cluster's record; who raises the level writes the cluster's
 * record and compares the guard, which it read before the members. So of the two one fails and looks again.
 */
import { drawEpoch, isLaterEpoch } from '../../core/epoch.ts';
import { OverlaydError } from '../../core/errors.ts';
import { drawUlaPrefix } from '../../core/ipam/ula.ts';
import { type AgentVersion, levelOf, nextLevel, STORE_LEVEL, speaks, unspokenLevel } from '../../core/levels.ts';
import { decodeCluster, decodeNode, readLevel } from '../../core/record-codec.ts';
import { type ClusterRecord, keys, PREFIX, SUBNET_GUARD } from '../../core/records.ts';
import type { StoreMemory } from '../../core/store-memory.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Commit, unchanged } from '../view/commit.ts';

const ATTEMPTS = 8;
const RETRY_MS = 1_000;

export interface LevelWatchDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly state: Pick<ClusterState, 'view' | 'memory'>;
  /** The next run, of another version maybe, is to know what `memory` says, also without etcd. */
  readonly remember: () => Promise<void>;
  readonly onUnspoken: (why: string) => void;
}

/** Follows the cluster's level for one run of a member. */
export class LevelWatch {
  readonly #deps: LevelWatchDeps;
  readonly #agent: AgentVersion;
  #last: number | undefined;
  #lastEpoch: string | undefined;

  constructor(deps: LevelWatchDeps, agent: AgentVersion) {
    this.#deps = deps;
    this.#agent = agent;
  }

  get isSpoken(): boolean {
    return speaks(this.#agent.levels, levelOf(this.#deps.state.view));
  }

  /**
   * Throws `version-mismatch` when the run before knew of a level that this agent does not speak, unless etcd says
   * otherwise: it may have been restored since. Where the level is not known, etcd's first word tells it.
   */
  async require(memory: StoreMemory | undefined): Promise<void> {
    this.#last = memory?.level;
    this.#lastEpoch = memory?.epoch;
    const remembered = levelOf(memory);
    if (speaks(this.#agent.levels, remembered)) return;
    const entry = await this.#deps.store.get(keys.cluster).catch(() => undefined);
    const said = entry && (decodeCluster(entry.value) ?? { level: readLevel(entry.value) ?? remembered });
    const level = said ? levelOf(said) : remembered;
    if (!speaks(this.#agent.levels, level)) throw unspokenLevel(this.#agent, level);
  }

  /** The view changed. */
  look(): void {
    const { onUnspoken, remember, state } = this.#deps;
    const { level, epoch } = state.memory;
    const isOtherEpoch = epoch !== this.#lastEpoch;
    const isOtherLevel = level !== undefined && level !== this.#last;
    if (!isOtherLevel && !isOtherEpoch) return;
    this.#last = level ?? this.#last;
    this.#lastEpoch = epoch;
    void remember().catch(() => undefined);
    if (isOtherLevel && !this.isSpoken) onUnspoken(unspokenLevel(this.#agent, level).message);
  }
}

export interface RaiseLevelDeps {
  readonly store: Pick<ClusterStore, 'get' | 'list'>;
  readonly commit: Commit;
  readonly state: Pick<ClusterState, 'view' | 'epoch'>;
  readonly random: Pick<Random, 'hex'>;
  readonly logger: Logger;
}

/** Called whenever a member or the cluster may have changed; asks etcd only when the view says that it can be raised. */
export async function raiseLevel(deps: RaiseLevelDeps, agent: AgentVersion): Promise<void> {
  const { commit, logger, state, store } = deps;
  const known = state.view.cluster();
  if (!known || state.view.behind || nextLevel(known, state.view.nodes()) === undefined) return;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [entry, guard] = await Promise.all([store.get(keys.cluster), store.get(SUBNET_GUARD)]);
    const { entries } = await store.list(`${PREFIX}nodes/`);
    const cluster = entry && decodeCluster(entry.value);
    const nodes = entries.flatMap(({ value }) => decodeNode(value) ?? []);
    // One whose record cannot be read may be a member of any level.
    if (!cluster || nodes.length < entries.length) return;
    const level = nextLevel(cluster, nodes);
    if (level === undefined || !speaks(agent.levels, level)) return;
    const raised = await commit(
      [unchanged(keys.cluster, entry), unchanged(SUBNET_GUARD, guard)],
      [{ kind: 'put', key: keys.cluster, record: { ...cluster, level, ...newWith(deps, cluster, level) } }],
    );
    if (!raised) continue;
    logger.info(
      { event: 'level-raised', spoken: level },
      'all members speak a higher level, which the cluster speaks from now on',
    );
    return;
  }
  throw new OverlaydError('conflict', "the cluster's level is not raised yet: its members change all the time", {
    retryable: true,
  });
}

/** What keepers alone write from that level on, so that no other host has to. */
function newWith({ random, state }: RaiseLevelDeps, cluster: ClusterRecord, level: number): Partial<ClusterRecord> {
  if (level < STORE_LEVEL) return {};
  const { epoch = drawEpoch(random, state.epoch), ulaPrefix = drawUlaPrefix(random) } = cluster;
  return { epoch, ulaPrefix };
}

/**
 * An etcd that somebody put back by its own means has the epoch that it had. Who saw that it went back draws another one, so
 * that members that were away see it too, when it has come further than it ever was.
 */
export async function markStoreThatWentBack({
  commit,
  logger,
  random,
  state,
}: Omit<RaiseLevelDeps, 'store' | 'state'> & {
  readonly state: Pick<ClusterState, 'view' | 'epoch' | 'wentBackUnmarked' | 'revisionOf'>;
}): Promise<void> {
  const held = state.view.cluster();
  const revision = state.revisionOf(keys.cluster);
  if (!state.wentBackUnmarked || !held || revision === undefined || levelOf(held) < STORE_LEVEL) return;
  if (isLaterEpoch(held.epoch, state.epoch)) return;
  const epoch = drawEpoch(random, held.epoch, state.epoch);
  const record = { ...held, epoch };
  const marked = await commit(
    [{ kind: 'revision', key: keys.cluster, revision }],
    [{ kind: 'put', key: keys.cluster, record }],
  );
  if (marked) logger.warn({ event: 'store-went-back', epoch }, 'etcd went back: from now on it counts as another one');
}

/** `restart` throws while another step is under way. Ends when it did not, or when the signal aborts. */
export async function insist(
  restart: () => Promise<void>,
  { clock, signal }: { readonly clock: Pick<Clock, 'sleep'>; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    try {
      return await restart();
    } catch {
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }
}
