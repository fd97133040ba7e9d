/**
 * The etcd that this host runs for the cluster, beside the member that runs or cannot: it is started, and what stands in its way is tried
 * again.
 */
import { isOverlaydError } from '../../core/errors.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { EtcdServer } from '../../ports/store.ts';
import { etcdSettingsOf, type Identity } from '../cluster/identity.ts';

export interface BundledEtcdDeps {
  readonly etcd: Pick<EtcdServer, 'check' | 'ensure'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  /** Of the member that runs now; undefined: none does. */
  readonly identity: () => Identity | undefined;
  /** A keeper is adding this host's, and begins it. */
  readonly isBeingAdded: () => boolean;
  /** Undefined: it runs. */
  readonly tell: (problem: unknown) => void;
}

const RETRY_MS = 3_000;
const LAST_RETRY_MS = 30_000;

export class BundledEtcd {
  readonly #deps: BundledEtcdDeps;
  /** By `keep`: at which address it runs, and whether it is being looked at. */
  #address: string | undefined;
  #isLookedAt = false;
  #wanted = new AbortController();

  constructor(deps: BundledEtcdDeps) {
    this.#deps = deps;
  }

  /** Ends the attempts to start it. */
  giveUp(): void {
    this.#wanted.abort();
  }

  /** The other members need it, whatever keeps this host from its part. Called again and again meanwhile. */
  keep(identity: Identity): void {
    if (this.#isLookedAt) return;
    this.#isLookedAt = true;
    const { etcd, logger } = this.#deps;
    const { advertiseAddress } = identity;
    const keep = async () => {
      if (this.#address !== advertiseAddress) await etcd.ensure(etcdSettingsOf(identity));
      this.#address = advertiseAddress;
      await etcd.check();
    };
    keep()
      .catch((error: unknown) => logger.warn({ error }, 'etcd does not run, trying again'))
      .finally(() => {
        this.#isLookedAt = false;
      });
  }

  /** Of a member that runs, as the identity is from then on. Ends when it runs, is not wanted any more, or was removed. */
  async ensure(started: Identity): Promise<void> {
    const { clock, etcd, identity, isBeingAdded, tell } = this.#deps;
    this.#address = undefined;
    this.#wanted = new AbortController();
    const { signal } = this.#wanted;
    for (let delayMs = RETRY_MS; !signal.aborted; delayMs = Math.min(LAST_RETRY_MS, delayMs * 2)) {
      const current = identity();
      try {
        // It may have been set aside meanwhile: others keep the store then.
        if (!current || (current.store.bundled && !isBeingAdded()))
          await etcd.ensure(etcdSettingsOf(current ?? started));
        if (!signal.aborted) tell(undefined);
        return;
      } catch (error) {
        // One that was removed is a member as any other: what is kept of it changes with the cluster's records.
        if (signal.aborted || isOverlaydError(error, 'store-removed')) return;
        tell(error);
        await clock.sleep(delayMs, signal).catch(() => undefined);
      }
    }
  }
}
