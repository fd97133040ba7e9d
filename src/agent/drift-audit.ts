/**
 * Looks at what changes without an event: the filter inside a network's namespace and the inside of a container. Each
 * costs a process, so a few are looked at per turn, everything in its turn; up to that few each of them every turn.
 * The inside of an engine's container is the engine's.
 */
import type { Desired, DesiredNetwork, DesiredPort } from '../core/host-state.ts';
import { isContainerRight } from '../core/plan/container.ts';
import type { Clock, Kernel, Logger } from '../ports.ts';

const PER_TURN = 8;

export interface Drift {
  /** Ids of networks that need a pass. */
  readonly networks: readonly string[];
  /** Ids of endpoints whose container needs a look inside. */
  readonly endpoints: readonly string[];
}

export interface DriftAuditDeps {
  readonly kernel: Pick<Kernel, 'observe' | 'probe'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
}

type Subject = { readonly network: DesiredNetwork; readonly port: DesiredPort | undefined };

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
      await clock.sleep(this.#options.intervalMs, signal);
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
    const subjects = this.#turn(
      wanted.networks.flatMap((network): Subject[] => [
        { network, port: undefined },
        ...network.ports.filter(({ endpoint }) => !endpoint.engine).map((port) => ({ network, port })),
      ]),
    );
    if (subjects.length === 0) return { networks: [], endpoints: [] };
    const ports = subjects.flatMap(({ network, port }) => (port ? [{ network, port }] : []));
    const namespaces = subjects.flatMap(({ network, port }) => (port ? [] : [network.namespace]));
    const [{ containers }, changed] = await Promise.all([
      this.#deps.kernel.observe(
        { host: false, networks: [], containers: ports.map(({ port }) => port.endpoint.container), ports: [] },
        signal,
      ),
      this.#deps.kernel.probe(namespaces, signal),
    ]);
    const wrong = ports.filter(({ network, port }) => {
      const inside = containers.get(port.endpoint.container.identity);
      return inside !== undefined && (inside === 'gone' || !isContainerRight(port, network, inside));
    });
    const networks = [
      ...wrong.map(({ network }) => network),
      ...wanted.networks.filter(({ namespace }) => changed.includes(namespace)),
    ];
    return {
      networks: [...new Set(networks.map(({ networkId }) => networkId))],
      endpoints: wrong.map(({ port }) => port.endpoint.record.id),
    };
  }

  #turn(all: readonly Subject[]): Subject[] {
    if (all.length <= PER_TURN) return [...all];
    if (this.#next >= all.length) this.#next = 0;
    const turn = all.slice(this.#next, this.#next + PER_TURN);
    this.#next += PER_TURN;
    return turn;
  }
}
