/** Follows etcd: every update of the watch goes into the cluster state. */
import { decodeStoreGate, decodeStoreMoved } from '../../core/record-codec.ts';
import { keys, PREFIX, type StoreGate, type StoreMoved } from '../../core/records.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { ClusterState } from './cluster-state.ts';
import { gateProblem } from './commit.ts';
import { formerRecords } from './former-records.ts';

export interface StoreWatchDeps {
  readonly store: ClusterStore;
  readonly state: ClusterState;
  readonly logger: Logger;
  /** The store fell silent: whoever runs it looks after it. */
  readonly onStalled: () => void;
  /** The store delivers (again): what was left alone without it can be done now. */
  readonly onConnected: () => void;
  /** Records are being copied, as this store says; undefined: they are not, or no more. */
  readonly onGate?: ((gate: StoreGate | undefined) => void) | undefined;
  /** The records are in another store now, as this one says. */
  readonly onMoved?: ((moved: StoreMoved) => void) | undefined;
}

export class StoreWatch {
  readonly #deps: StoreWatchDeps;
  #heard = false;
  #former: string | undefined;
  #gate: string | undefined;

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

  /** While records are being copied into the store, or out of it: what is in it is not followed then. */
  get gate(): StoreGate | undefined {
    return this.#gate === undefined ? undefined : decodeStoreGate(this.#gate);
  }

  /** In words. */
  problems(): readonly string[] {
    if (this.#gate === undefined) return [];
    const { gate } = this;
    return [gateProblem(gate, gate && this.#deps.state.view.node(gate.by)?.name)];
  }

  /** In words, when an older release's records are all that etcd was found to hold. */
  get formerRecords(): string | undefined {
    return this.#deps.state.view.cluster() ? undefined : this.#former;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (await this.#follow(signal));
    this.#deps.state.stalled();
  }

  /** Until the signal aborts, or all has to be read anew: then true. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const { store, state, logger } = this.#deps;
    for await (const update of store.watch(PREFIX, signal)) {
      if (update.kind === 'stalled') {
        logger.warn({ event: 'store-away' }, 'etcd does not answer; existing networks go on, changes wait');
        state.stalled();
        this.#deps.onStalled();
        continue;
      }
      const records = update.kind === 'snapshot' ? update.entries : update.events;
      const wasGated = this.#gate !== undefined;
      this.#lookAtGate(update.kind, records);
      if (this.#gate !== undefined) {
        const { gate } = this;
        if (!wasGated) logger.warn({ gate }, 'records of etcd are being copied: changes wait');
        state.stalled();
        continue;
      }
      // What was copied, or is of another life of the store, is compared as a whole.
      if (update.kind === 'events' && (wasGated || state.isOfOtherEpoch(update.events))) return true;
      const returned = !state.followed;
      if (returned) logger.info({ event: 'store-answers', revision: update.revision }, 'following etcd');
      this.#heard = true;
      if (update.kind === 'snapshot') {
        state.mergeSnapshot(update.revision, update.entries);
        // Else ten megabytes of a large cluster stay for as long as nothing is written in it.
        update.entries.length = 0;
        if (!state.view.cluster()) void this.#lookForFormer();
      } else state.mergeEvents(update.revision, update.events);
      if (returned) this.#deps.onConnected();
    }
    return false;
  }

  #lookAtGate(
    kind: 'snapshot' | 'events',
    records: readonly { readonly key: string; readonly value: string | undefined }[],
  ): void {
    const before = this.#gate;
    if (kind === 'snapshot') this.#gate = undefined;
    for (const { key, value } of records) {
      if (key === keys.storeGate) this.#gate = value;
      const moved = key === keys.storeMoved && value !== undefined ? decodeStoreMoved(value) : undefined;
      if (moved) this.#deps.onMoved?.(moved);
    }
    if (this.#gate !== before) this.#deps.onGate?.(this.gate);
  }

  async #lookForFormer(): Promise<void> {
    this.#former = await formerRecords(this.#deps.store).catch(() => this.#former);
  }
}
