/** Follows etcd: every update of the watch goes into the cluster state. */
import { PREFIX } from '../../core/records.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { ClusterState } from './cluster-state.ts';
import { formerRecords } from './former-records.ts';

export interface StoreWatchDeps {
  readonly store: ClusterStore;
  readonly state: ClusterState;
  readonly logger: Logger;
  /** The store fell silent: whoever runs it looks after it. */
  readonly onStalled: () => void;
  /** The store delivers (again): what was left alone without it can be done now. */
  readonly onConnected: () => void;
}

export class StoreWatch {
  readonly #deps: StoreWatchDeps;
  #heard = false;
  #former: string | undefined;

  constructor(deps: StoreWatchDeps) {
    this.#deps = deps;
  }

  /** True while the watch delivers: absence in the view is then etcd's word of this moment. */
  get connected(): boolean {
    return this.#deps.state.followed;
  }

  /** True once the watch has delivered since the start. */
  get heard(): boolean {
    return this.#heard;
  }

  /** In words, when an older release's records are all that etcd was found to hold. */
  get formerRecords(): string | undefined {
    return this.#deps.state.view.cluster() ? undefined : this.#former;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, state, logger } = this.#deps;
    for await (const update of store.watch(PREFIX, signal)) {
      if (update.kind === 'stalled') {
        logger.warn({}, 'etcd does not answer; existing networks go on, changes wait');
        state.stalled();
        this.#deps.onStalled();
        continue;
      }
      const returned = !state.followed;
      if (returned) logger.info({ revision: update.revision, update: update.kind }, 'following etcd');
      this.#heard = true;
      if (update.kind === 'snapshot') {
        state.mergeSnapshot(update.revision, update.entries);
        // Else ten megabytes of a large cluster stay for as long as nothing is written in it.
        update.entries.length = 0;
        if (!state.view.cluster()) void this.#lookForFormer();
      } else state.mergeEvents(update.revision, update.events);
      if (returned) this.#deps.onConnected();
    }
    state.stalled();
  }

  async #lookForFormer(): Promise<void> {
    this.#former = await formerRecords(this.#deps.store).catch(() => this.#former);
  }
}
