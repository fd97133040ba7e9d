/**
 * What a person says of the store's members: that a host is to be one (`promote`), that it is not (`demote`), how many there are
 * to be. It is said on a host that keeps the store or has a copy, a keeper writes it down (`wish-record.ts`), and it is carried out by keepers as everything
 * else is; who asked waits for it.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { levelOf, requireLevel, STORE_LEVEL } from '../../core/levels.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { StoreWish } from '../../ports/keepers.ts';
import type { Clock } from '../../ports/runtime.ts';
import { canDoWithout, requireBundled } from './wish-record.ts';

export interface StoreWishesDeps {
  /** Has a keeper write it down: this host where it is one. */
  readonly ask: (wish: StoreWish) => Promise<unknown>;
  readonly view: ClusterView;
  /** The cluster's etcd is a bundled one. */
  readonly isBundled: () => boolean;
  /** Why not all is as it is wanted, in words; undefined: it is, or is being made so. */
  readonly outlook: () => Promise<string | undefined>;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
}

export interface Waiting {
  readonly progress: (text: string) => void;
  /** Whoever asked went away: what was said stands all the same. */
  readonly signal?: AbortSignal;
}

const LOOK_MS = 200;
/** What takes longer goes on without anybody waiting. */
const PATIENCE_MS = 90_000;
/** So long nothing stands in the way: members find each other first. */
const OUTLOOK_MS = 5_000;

export class StoreWishes {
  readonly #deps: StoreWishesDeps;

  constructor(deps: StoreWishesDeps) {
    this.#deps = deps;
  }

  /**
   * Returns warnings: what is not as asked yet, and why. Throws `version-mismatch`, `invalid-argument`, `tool-missing`, `conflict`,
   * `keeper-unreachable`.
   */
  async promote({ id, name }: Pick<NodeRecord, 'id' | 'name'>, waiting: Waiting): Promise<readonly string[]> {
    await this.#wish({ wish: 'promote', nodeId: id, members: 0 });
    waiting.progress(`making ${name} a member of the store`);
    const done = await this.#until(() => this.#deps.view.keepers()?.includes(id) === true, waiting);
    return (
      done ??
      (this.#hasCopy(id)
        ? [`${name} has a copy of the store and no vote yet`]
        : [`${name} does not keep the store yet`])
    );
  }

  /** The same, for one that is to keep it no more. Throws `store-holder` besides, where nobody else could. */
  async demote({ id, name }: Pick<NodeRecord, 'id' | 'name'>, waiting: Waiting): Promise<readonly string[]> {
    await this.#wish({ wish: 'demote', nodeId: id, members: 0 });
    waiting.progress(`letting the others keep the store without ${name}`);
    const { view } = this.#deps;
    const isGone = () => !view.keepers()?.includes(id) && !this.#hasCopy(id) && view.storeChange() === undefined;
    return (await this.#until(isGone, waiting)) ?? [`${name} still keeps the store`];
  }

  /** How many hosts are to keep it. */
  async resize(members: number): Promise<void> {
    await this.#wish({ wish: 'resize', nodeId: '', members });
  }

  /** Whether the store could do without that host: another one has all of it, or could get it. */
  canGo(nodeId: string): boolean {
    const { view } = this.#deps;
    return canDoWithout(view, view.keepersRecord(), nodeId);
  }

  #hasCopy(nodeId: string): boolean {
    return this.#deps.view.keepersRecord()?.learners?.includes(nodeId) === true;
  }

  async #wish(wish: StoreWish): Promise<void> {
    const { ask, isBundled, view } = this.#deps;
    requireBundled(isBundled());
    requireLevel(STORE_LEVEL, levelOf(view), view.nodes(), 'several members of the store');
    await ask(wish);
  }

  /** Undefined: it does not come about, and nobody says why. Else warnings, none when it did. */
  async #until(isDone: () => boolean, { progress, signal }: Waiting): Promise<readonly string[] | undefined> {
    const { clock, outlook } = this.#deps;
    const begun = clock.elapsed();
    let told: string | undefined;
    for (let asked = begun; clock.elapsed() - begun < PATIENCE_MS; await clock.sleep(LOOK_MS, signal)) {
      if (isDone()) return [];
      if (clock.elapsed() - asked < OUTLOOK_MS) continue;
      asked = clock.elapsed();
      const why = await outlook().catch(() => undefined);
      // The same twice: nothing is about to change.
      if (why !== undefined && why === told) return [`it comes about later: ${why}`];
      if (why !== undefined) progress(why);
      told = why;
    }
    return undefined;
  }
}
