/** The names' side of a member: the responder, where it listens, and what it says before everything is known. */
import type { ClusterView } from '../core/cluster-view.ts';
import { asOverlaydError } from '../core/errors.ts';
import { SERVICE_ADDRESS } from '../core/host-state.ts';
import type { Clock, DnsHandler, DnsListeners } from '../ports.ts';
import { HOST_PART } from './announcements.ts';
import { EarlyQuestions } from './early-questions.ts';
import type { LocalEndpoints } from './local-endpoints.ts';
import { createResponder, type Responder, type ResponderDeps } from './names.ts';

export interface NameServiceDeps extends Omit<ResponderDeps, 'hasWayOut' | 'networksOf' | 'untilMore'> {
  readonly view: ClusterView;
  readonly local: Pick<LocalEndpoints, 'hasWayOut' | 'networkIds' | 'networksOfClient' | 'onNetwork'>;
  /** Whether names are answered at the service address too. */
  readonly serviceAddress: () => boolean;
  readonly listen: (handler: DnsHandler) => DnsListeners;
  /** As of the reconciler: what the view says now is in the kernel. */
  readonly converge: (networkId: string) => Promise<void>;
  readonly clock: Clock;
}

export interface NameServiceOptions {
  readonly ttlSeconds: number;
}

/** What all the rest of a start waits at most for names to be answered. */
const OPEN_MS = 200;

export class NameService {
  readonly responder: Responder;
  readonly #deps: NameServiceDeps;
  readonly #listeners: DnsListeners;
  readonly #early: EarlyQuestions;
  /** By network id: why names are not answered there. */
  readonly #problems = new Map<string, string>();

  constructor(deps: NameServiceDeps, options: NameServiceOptions) {
    const early = new EarlyQuestions(deps);
    this.#deps = deps;
    this.#early = early;
    this.responder = createResponder(
      {
        ...deps,
        networksOf: (networkId, address) => deps.local.networksOfClient(networkId, address),
        hasWayOut: (networkId, address) => deps.local.hasWayOut(networkId, address),
        untilMore: (networkId) => early.untilMore(networkId),
      },
      options,
    );
    this.#listeners = deps.listen(this.responder.handler);
  }

  /**
   * Listens wherever the state file says: what an earlier run of the agent left in the kernel suffices. Where it does
   * not, the reconciler's first pass mends that. Resolves when it is done, or takes too long to be waited for.
   */
  async open(signal: AbortSignal): Promise<void> {
    const opened = Promise.allSettled(this.#places().map((id) => this.ensure(id)));
    const over = new AbortController();
    const late = this.#deps.clock.sleep(OPEN_MS, AbortSignal.any([signal, over.signal])).catch(() => undefined);
    await Promise.race([opened, late]);
    over.abort();
  }

  /** From the start of the member on; ends soon. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#early.run(signal);
  }

  /** Endpoints of the network, ways to them, or hidden members changed. */
  invalidate(networkId: string | 'all'): void {
    this.responder.invalidate(networkId);
  }

  /** All records of the cluster are known: the ways to their endpoints are when the kernel was compared with them. */
  becameWhole(): void {
    this.#early.changed();
    for (const networkId of this.#deps.local.networkIds()) void this.#learn(networkId);
  }

  async #learn(networkId: string): Promise<void> {
    await this.#deps.converge(networkId).catch(() => undefined);
    this.#early.known(networkId);
  }

  /** What the kernel has now may be called by name. */
  async applied(networkId: string): Promise<void> {
    this.responder.invalidate(networkId);
    await this.ensure(networkId);
  }

  /** Opens or closes the responder of a network, or of the host: what it answers at is decided here alone. */
  async ensure(networkId: string): Promise<void> {
    try {
      await this.#ensure(networkId);
      this.#problems.delete(networkId);
    } catch (error) {
      this.#problems.set(networkId, asOverlaydError(error).message);
      throw error;
    }
  }

  /** Where names should be answered and are not, in words. */
  problems(): readonly string[] {
    return [...this.#problems].map(([networkId, message]) => {
      const name = this.#deps.view.network(networkId)?.name;
      return `names are not answered on ${name === undefined ? 'this host' : `network ${name}`}: ${message}`;
    });
  }

  async #ensure(networkId: string): Promise<void> {
    const { local, serviceAddress, view } = this.#deps;
    const service = serviceAddress() ? [SERVICE_ADDRESS] : [];
    if (networkId === HOST_PART) {
      if (service.length === 0) return;
      return await this.#listeners.ensure({ networkId, namespacePath: '/proc/self/ns/net', addresses: service });
    }
    const network = view.network(networkId);
    if (!network || local.onNetwork(networkId).length === 0) return await this.close(networkId);
    await this.#listeners.ensure({
      networkId,
      namespacePath: `/run/netns/ovl-${network.vni}`,
      addresses: [network.subnets[0]!.gateway, ...service],
    });
  }

  async close(networkId: string): Promise<void> {
    this.#problems.delete(networkId);
    await this.#listeners.close(networkId);
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.#places().map((id) => this.close(id)));
  }

  #places(): string[] {
    return [HOST_PART, ...this.#deps.local.networkIds()];
  }
}
