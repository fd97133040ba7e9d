/**
 * Keeps the services of networks with `vip=true` (`core/automatic-services.ts`). What fails stands in nobody's way: the alias is
 * answered with its containers' addresses meanwhile, and tried again.
 */
import { desertedServices, isSweeper, missingServices, unservedProblem } from '../../core/automatic-services.ts';
import { asOverlaydError, isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { hasServiceAddresses } from '../../core/network-options.ts';
import type { NetworkRecord } from '../../core/records.ts';
import type { ServiceRecord, ServicesRecord } from '../../core/service-records.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import { createService, removeService, type ServicesDeps } from './services.ts';

export interface AutomaticServicesDeps extends Omit<ServicesDeps, 'clock' | 'converge' | 'logger'> {
  readonly clock: Pick<Clock, 'elapsed' | 'now'>;
  readonly local: Pick<LocalEndpoints, 'onNetwork'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

interface Looked {
  readonly moment: number;
  readonly record: ServicesRecord | undefined;
  readonly deserted: readonly ServiceRecord[];
}

interface Refused {
  readonly networkId: string;
  readonly until: number;
  readonly why: string;
  readonly problem: string;
}

/** A container that is started anew finds the address that its alias had. */
const DESERTED_MS = 10_000;
const RETRY_MS = 30_000;

export class AutomaticServices {
  readonly #deps: AutomaticServicesDeps;
  readonly #options: { readonly quarantineSeconds: number };
  /** Since when nobody goes by it, by the service's id. */
  readonly #deserted = new Map<string, number>();
  /** By network. */
  readonly #looked = new Map<string, Looked>();
  /** Not to be tried before, by network and alias. */
  readonly #refused = new Map<string, Refused>();

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
    const { clock, liveness, selfId, view } = this.#deps;
    const seen = new Set<string>();
    // All members are asked after, which is not for every change of a cluster without such networks.
    let sweeper: boolean | undefined;
    const isSweeping = () => {
      sweeper ??= isSweeper(view, selfId, (nodeId) => liveness(nodeId) === 'ready');
      return sweeper;
    };
    const kept = new Set<string>();
    let failed: unknown;
    for (const network of [...view.networks()]) {
      if (network.state !== 'active' || !hasServiceAddresses(network)) continue;
      kept.add(network.id);
      try {
        await this.#make(network);
        if (isSweeping()) await this.#sweep(network, seen);
      } catch (error) {
        failed ??= error;
      }
    }
    for (const id of this.#deserted.keys()) if (!seen.has(id)) this.#deserted.delete(id);
    for (const id of this.#looked.keys()) if (!view.network(id)) this.#looked.delete(id);
    for (const [key, { networkId }] of this.#refused) if (!kept.has(networkId)) this.#refused.delete(key);
    if (failed !== undefined) throw failed;
    const now = clock.elapsed();
    const waits = [
      ...[...this.#deserted.values()].map((since) => since + DESERTED_MS - now),
      ...[...this.#refused.values()].map(({ until }) => until - now),
    ];
    return waits.length > 0 ? Math.max(Math.min(...waits), 0) + 1 : undefined;
  }

  async #make(network: NetworkRecord): Promise<void> {
    const { clock, local, logger, view } = this.#deps;
    const own = local.onNetwork(network.id).map(({ record }) => record);
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
        // Another host was quicker, or the network has gone: what tells so is looked at then.
        if (isOverlaydError(error, 'name-in-use') || isOverlaydError(error, 'network-not-found')) {
          this.#refused.delete(prefix + alias);
          continue;
        }
        const { message, retryable } = asOverlaydError(error);
        if (retryable) throw error;
        if (refused?.why !== message) {
          logger.warn({ network: network.name, alias, error }, 'an alias got no service address, trying again');
        }
        const problem = unservedProblem(network.name, alias, message);
        const until = clock.elapsed() + RETRY_MS;
        this.#refused.set(prefix + alias, { networkId: network.id, until, why: message, problem });
      }
    }
  }

  async #sweep(network: NetworkRecord, seen: Set<string>): Promise<void> {
    const now = this.#deps.clock.elapsed();
    for (const service of this.#desertedOf(network)) {
      seen.add(service.id);
      const since = this.#deserted.get(service.id) ?? now;
      this.#deserted.set(service.id, since);
      if (now - since < DESERTED_MS) continue;
      try {
        const { id, name: alias } = service;
        await removeService(this.#all(), { network: network.id, alias }, { ...this.#options, id });
      } catch (error) {
        if (!(error instanceof OverlaydError) || error.retryable) throw error;
      }
      this.#deserted.delete(service.id);
    }
  }

  /** Whoever goes by the names is asked for where something may be another thing than before: there may be thousands. */
  #desertedOf(network: NetworkRecord): readonly ServiceRecord[] {
    const { view } = this.#deps;
    const [moment, record] = [view.moment(network.id), view.services(network.id)];
    const last = this.#looked.get(network.id);
    if (last && last.moment === moment && last.record === record) return last.deserted;
    const deserted = desertedServices(view, network);
    this.#looked.set(network.id, { moment, record, deserted });
    return deserted;
  }

  /** Nobody waits for the kernel: it follows from the view, as on every other host. */
  #all(): ServicesDeps {
    return { ...this.#deps, converge: async () => undefined };
  }
}
