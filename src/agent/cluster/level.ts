/**
 * The cluster's level as a member meets it. An agent that does not speak it does nothing until it does; any member raises
 * it as soon as all of them speak the next one.
 *
 * Safe against a host that joins, or an agent that is rolled back, at the same moment: who adds a member, or has its own
 * record say another range, writes the guard and compares the cluster's record; who raises the level writes the cluster's
 * record and compares the guard, which it read before the members. So of the two one fails and looks again.
 */
import { OverlaydError } from '../../core/errors.ts';
import { type AgentVersion, levelOf, nextLevel, speaks, unspokenLevel } from '../../core/levels.ts';
import { decodeCluster, decodeNode, readLevel } from '../../core/record-codec.ts';
import { keys, PREFIX, SUBNET_GUARD } from '../../core/records.ts';
import type { StoreMemory } from '../../core/store-memory.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
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
    const { level } = state.memory;
    if (level === undefined || level === this.#last) return;
    this.#last = level;
    void remember().catch(() => undefined);
    if (!this.isSpoken) onUnspoken(unspokenLevel(this.#agent, level).message);
  }
}

export interface RaiseLevelDeps {
  readonly store: Pick<ClusterStore, 'get' | 'list'>;
  readonly commit: Commit;
  readonly state: Pick<ClusterState, 'view'>;
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
      [{ kind: 'put', key: keys.cluster, record: { ...cluster, level } }],
    );
    if (!raised) continue;
    logger.info(
      { event: 'level-raised', level },
      'all members speak a higher level, which the cluster speaks from now on',
    );
    return;
  }
  throw new OverlaydError('conflict', "the cluster's level is not raised yet: its members change all the time", {
    retryable: true,
  });
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
