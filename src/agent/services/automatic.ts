/**
 * Keeps the services of networks with `vip=true` (`core/automatic-services.ts`). What fails stands in nobody's way: the alias is
 * answered with its containers' addresses meanwhile, and tried again.
 */
import { desertedServices, isSweeper, missingServices, unservedProblem } from '../../core/automatic-services.ts';
import { asOverlaydError, isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { hasServiceAddresses } from '../../core/network-options.ts';
import type { NetworkRecord } from '../../core/records.ts';
import type { ServiceRecord } from '../../core/service-records.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { createService, removeService, type ServicesDeps } from './services.ts';

export interface AutomaticServicesDeps extends Omit<ServicesDeps, 'clock' | 'converge' | 'logger'> {
  readonly clock: Pick<Clock, 'elapsed' | 'now'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** A container that is started anew finds the address that its alias had. */
const DESERTED_MS = 10_000;
const RETRY_MS = 30_000;

export class AutomaticServices {
  readonly #deps: AutomaticServicesDeps;
  readonly #options: { readonly quarantineSeconds: number };
  /** Since when nobody goes by it, by the service's id. */
  readonly #deserted = new Map<string, number>();
  /** Not to be tried before, by network and alias. */
  readonly #refused = new Map<string, { readonly until: number; readonly why: string; readonly problem: string }>();

  constructor(deps: AutomaticServicesDeps, options: { readonly quarantineSeconds: number }) {
    this.#deps = deps;
    this.#options = options;
  }

  /** In words. */
  get problems(): string[] {
    return [...this.#refused.values()].map(({ problem }) => problem);
  }

  /** After how many milliseconds there may be something to do though nothing changes; undefined: never. Throws what may pass by itself. */
  async keep(): Promise<number | undefined> {
    const { clock, view } = this.#deps;
    const seen = new Set<string>();
    let failed: unknown;
    for (const network of [...view.networks()]) {
      if (network.state !== 'active' || !hasServiceAddresses(network)) continue;
      try {
        await this.#make(network);
        await this.#sweep(network, seen);
      } catch (error) {
        failed ??= error;
      }
    }
    for (const id of this.#deserted.keys()) if (!seen.has(id)) this.#deserted.delete(id);
    if (failed !== undefined) throw failed;
    const now = clock.elapsed();
    const waits = [
      ...[...this.#deserted.values()].map((since) => since + DESERTED_MS - now),
      ...[...this.#refused.values()].map(({ until }) => until - now),
    ];
    return waits.length > 0 ? Math.max(Math.min(...waits), 0) + 1 : undefined;
  }

  async #make(network: NetworkRecord): Promise<void> {
    const { clock, logger, selfId, view } = this.#deps;
    const own = [...view.endpointsOn(network.id)].filter(({ nodeId }) => nodeId === selfId);
    const missing = missingServices(view, network, own);
    const prefix = `${network.id} `;
    const keys = new Set(missing.map((alias) => prefix + alias));
    for (const key of this.#refused.keys()) if (key.startsWith(prefix) && !keys.has(key)) this.#refused.delete(key);
    for (const alias of missing) {
      const refused = this.#refused.get(prefix + alias);
      if (refused && refused.until > clock.elapsed()) continue;
      try {
        await createService(this.#all(), { network: network.id, alias, automatic: true });
        this.#refused.delete(prefix + alias);
      } catch (error) {
        // Another host was quicker, or the network has gone.
        if (isOverlaydError(error, 'name-in-use') || isOverlaydError(error, 'network-not-found')) continue;
        const { message, retryable } = asOverlaydError(error);
        if (retryable) throw error;
        if (refused?.why !== message) {
          logger.warn({ network: network.name, alias, error }, 'an alias got no service address, trying again');
        }
        const problem = unservedProblem(network.name, alias, message);
        this.#refused.set(prefix + alias, { until: clock.elapsed() + RETRY_MS, why: message, problem });
      }
    }
  }

  async #sweep(network: NetworkRecord, seen: Set<string>): Promise<void> {
    const { answers, clock, selfId, view } = this.#deps;
    const now = clock.elapsed();
    const due: ServiceRecord[] = [];
    for (const service of desertedServices(view, network)) {
      seen.add(service.id);
      const since = this.#deserted.get(service.id) ?? now;
      this.#deserted.set(service.id, since);
      if (now - since >= DESERTED_MS) due.push(service);
    }
    if (due.length === 0 || !isSweeper(view, selfId, answers)) {
      // Looked at again as long as the one whose turn it is has not done it.
      for (const { id } of due) this.#deserted.set(id, now);
      return;
    }
    for (const { id, name } of due) {
      try {
        await removeService(this.#all(), { network: network.id, alias: name }, { ...this.#options, id });
      } catch (error) {
        if (!(error instanceof OverlaydError) || error.retryable) throw error;
      }
      this.#deserted.delete(id);
    }
  }

  /** Nobody waits for the kernel: it follows from the view, as on every other host. */
  #all(): ServicesDeps {
    return { ...this.#deps, converge: async () => undefined };
  }
}
