/**
 * The net below the kernel's events: looks now and then at what is hardest to hear of, the filters inside the networks'
 * namespaces, all of them each time, and the insides of containers, a few per turn, everything in its turn. The inside of
 * an engine's container is the engine's. All is compared with what should be: what was seen before is no measure, since it
 * may have been wrong.
 */
import { isPlumbedByEngine } from '../../core/attachment.ts';
import type { LocalEndpoint } from '../../core/container.ts';
import type { Desired, DesiredNetwork, DesiredPort } from '../../core/host-state.ts';
import type { NetworkTables } from '../../core/packet-filter.ts';
import { isContainerRight } from '../../core/plan/container.ts';
import { filterOps, networkFilter, withLoaded } from '../../core/plan/filter.ts';
import { isServiceFilterRight, sparingDetour } from '../../core/plan/service.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

const PER_TURN = 8;

export interface Drift {
  /** Ids of networks that need a pass. */
  readonly networks: readonly string[];
  /** Those whose container needs a look inside. */
  readonly endpoints: readonly LocalEndpoint[];
}

export interface DriftAuditDeps {
  readonly kernel: Pick<Kernel, 'observe' | 'filters'>;
  readonly view: () => { readonly isWhole: boolean };
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
}

type Subject = { readonly network: DesiredNetwork; readonly port: DesiredPort };

export class DriftAudit {
  readonly #deps: DriftAuditDeps;
  readonly #options: { readonly intervalMs: number };
  #next = 0;

  constructor(deps: DriftAuditDeps, options: { readonly intervalMs: number }) {
    this.#deps = deps;
    this.#options = options;
  }

  /** What was found, turn by turn, until the signal aborts. */
  async *drifts(wanted: () => Desired, signal: AbortSignal): AsyncGenerator<Drift> {
    const { clock, logger } = this.#deps;
    while (!signal.aborted) {
      await clock.sleep(this.#options.intervalMs, signal, 'loosely');
      try {
        const drift = await this.look(wanted(), signal);
        if (drift.networks.length > 0) yield drift;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ error }, 'looking for drift failed, trying again');
      }
    }
  }

  async look(wanted: Desired, signal: AbortSignal): Promise<Drift> {
    const { kernel } = this.#deps;
    const ports = this.#turn(
      wanted.networks.flatMap((network): Subject[] =>
        network.ports.filter(({ endpoint }) => !isPlumbedByEngine(endpoint)).map((port) => ({ network, port })),
      ),
    );
    const [wrong, filters] = await Promise.all([
      this.#wrongInside(ports, signal),
      kernel.filters(
        wanted.networks.map(({ namespace }) => namespace),
        signal,
      ),
    ]);
    const networks = [
      ...wrong.map(({ network }) => network),
      ...wanted.networks.filter(
        (network) => filters.has(network.namespace) && !this.#isRight(network, filters.get(network.namespace)!),
      ),
    ];
    return {
      networks: [...new Set(networks.map(({ networkId }) => networkId))],
      endpoints: wrong.map(({ port }) => port.endpoint),
    };
  }

  async #wrongInside(ports: readonly Subject[], signal: AbortSignal): Promise<readonly Subject[]> {
    if (ports.length === 0) return [];
    const insides = ports.map(({ port }) => port.endpoint.container);
    const scope = { host: false, networks: [], containers: insides, ports: [] };
    const { containers } = await this.#deps.kernel.observe(scope, signal);
    return ports.filter(({ network, port }) => {
      const inside = containers.get(port.endpoint.container.identity);
      return inside !== undefined && (inside === 'gone' || !isContainerRight(port, network, inside));
    });
  }

  #isRight(network: DesiredNetwork, { filter: seen, services }: NetworkTables): boolean {
    const { isWhole } = this.#deps.view();
    const filter = networkFilter(network, network.ports);
    const allowed = isWhole ? filter : withLoaded(filter, seen);
    const known = sparingDetour(seen, network, isWhole);
    if (filterOps(network.namespace, allowed, known).length > 0) return false;
    return isServiceFilterRight(network, services, isWhole);
  }

  #turn(all: readonly Subject[]): Subject[] {
    if (all.length <= PER_TURN) return [...all];
    if (this.#next >= all.length) this.#next = 0;
    const turn = all.slice(this.#next, this.#next + PER_TURN);
    this.#next += PER_TURN;
    return turn;
  }
}
