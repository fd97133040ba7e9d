/**
 * Starts what the engine gave up on because of us, as soon as our drivers can do their part: when etcd answers, or when the
 * container's former addresses suffice. One after the other, so that the address that is asked for is this container's.
 */

import type { EngineContainer } from '../../core/engine/engine.ts';
import { isGivenUp } from '../../core/engine/given-up.ts';
import { Latch } from '../../core/latch.ts';
import type { Engine } from '../../ports/engine.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import type { FormerAddresses } from './former.ts';
import type { EngineNetworks } from './networks.ts';

export interface GivenUpDeps {
  readonly engine: Engine;
  readonly former: Pick<FormerAddresses, 'await' | 'whileStarting'>;
  readonly networks: Pick<EngineNetworks, 'bindingOf'>;
  readonly local: Pick<LocalEndpoints, 'former'>;
  /** Whether etcd answers. */
  readonly storeConnected: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

const POLL_MS = 1_000;
/** While it cannot be started, somebody may still have removed it or told the engine to leave it. */
const LOOK_MS = 10_000;
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60_000;
const MOST_NAMED = 10;

interface GivenUp {
  /** As it was last seen. */
  readonly container: EngineContainer;
  readonly lookAt: number;
  readonly tryAt: number;
  readonly retryMs: number;
}

export class GivenUpContainers {
  readonly #deps: GivenUpDeps;
  /** By id. */
  readonly #containers = new Map<string, GivenUp>();
  readonly #work = new Latch();
  #stale = false;

  constructor(deps: GivenUpDeps) {
    this.#deps = deps;
  }

  /** To be called when the engine may have given up on a container. */
  lookSoon(): void {
    this.#stale = true;
    this.#work.set();
  }

  /** What people should know, one line each. */
  get problems(): readonly string[] {
    const names = [...this.#containers.values()].map(({ container }) => container.name).sort();
    if (names.length === 0) return [];
    const more = names.length - MOST_NAMED;
    const named = names.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
    const when = this.#deps.storeConnected()
      ? 'overlayd has it start them again'
      : 'they are started when etcd answers';
    return [`Docker gave up starting ${named}, because overlayd could not do its part then: ${when}`];
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, former, logger } = this.#deps;
    signal.addEventListener('abort', () => this.#work.set(), { once: true });
    while (!signal.aborted) {
      if (this.#containers.size === 0 && !this.#stale) await this.#work.wait();
      else await clock.sleep(POLL_MS, signal).catch(() => undefined);
      try {
        if (this.#stale) await this.#find();
        for (const [id, { tryAt }] of this.#containers) {
          if (signal.aborted) return;
          if (tryAt <= clock.elapsed()) await this.#start(id);
        }
        former.await(this.#containers.keys());
      } catch (error) {
        if (!signal.aborted) logger.debug({ error }, 'Docker does not tell which containers it gave up on');
      }
    }
  }

  async #find(): Promise<void> {
    const { clock, engine, logger } = this.#deps;
    this.#stale = false;
    try {
      for (const id of await engine.stopped()) {
        if (this.#containers.has(id)) continue;
        const container = await engine.inspect(id);
        if (!container || !this.#isGivenUp(container)) continue;
        const { name, failure } = container;
        logger.warn(
          { container: name, reason: failure },
          'Docker gave up starting a container; it is started when that can be',
        );
        const now = clock.elapsed();
        this.#containers.set(id, { container, lookAt: now + LOOK_MS, tryAt: now, retryMs: FIRST_RETRY_MS });
      }
    } catch (error) {
      this.#stale = true;
      throw error;
    }
  }

  async #start(id: string): Promise<void> {
    const { clock, engine, former, logger } = this.#deps;
    const known = this.#containers.get(id)!;
    if (!this.#isPossible(known.container) && clock.elapsed() < known.lookAt) return;
    // Somebody may have started it, removed it, or told the engine to leave it.
    const container = await engine.inspect(id);
    if (!container || !this.#isGivenUp(container)) return void this.#containers.delete(id);
    const seen = { ...known, container, lookAt: clock.elapsed() + LOOK_MS };
    this.#containers.set(id, seen);
    if (!this.#isPossible(container)) return;
    const { name } = container;
    try {
      await former.whileStarting(id, () => engine.startContainer(id));
      this.#containers.delete(id);
      logger.info({ container: name }, 'container started that Docker had given up on');
    } catch (error) {
      const { retryMs } = seen;
      const tryAt = clock.elapsed() + retryMs;
      this.#containers.set(id, { ...seen, tryAt, retryMs: Math.min(2 * retryMs, LAST_RETRY_MS) });
      logger.warn({ container: name, retryInMs: retryMs, error }, 'a container that Docker gave up on does not start');
    }
  }

  /** With etcd, or with what it had before the host was restarted, on each of its networks. */
  #isPossible({ id, networks }: EngineContainer): boolean {
    const { local, networks: known, storeConnected } = this.#deps;
    if (storeConnected()) return true;
    const former = local.former().filter(({ engine }) => engine?.containerId === id);
    const wanted = networks.flatMap(({ networkId }) => known.bindingOf(networkId)?.networkId ?? []);
    return wanted.every((networkId) => former.some(({ record }) => record.networkId === networkId));
  }

  #isGivenUp(container: EngineContainer): boolean {
    return isGivenUp(container, (engineNetworkId) => this.#deps.networks.bindingOf(engineNetworkId) !== undefined);
  }
}
