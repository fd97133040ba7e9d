/**
 * Health of Podman's containers, as their own checks find it: it is in their endpoints' records, so that names and services heed it. It is not
 * in what this host keeps of them, by which their records are put right: a record that has just changed would be changed back.
 */
import type { LocalEndpoint } from '../../core/container.ts';
import { parseOwnerKey } from '../../core/podman/owner.ts';
import type { PodmanHealth } from '../../ports/podman.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { Member } from '../member.ts';

export interface ContainerHealthDeps {
  readonly health: PodmanHealth;
  readonly logger: Logger;
}

export class ContainerHealth {
  readonly #deps: ContainerHealthDeps;
  readonly #onChange: () => void;
  #isTold = true;
  /** Those that were last looked at. */
  #looked = '';

  /** `onChange`: it is to be looked at again. */
  constructor(deps: ContainerHealthDeps, onChange: () => void) {
    this.#deps = deps;
    this.#onChange = onChange;
  }

  /** Reads what was written since the last look. What cannot be put into a record is tried again. */
  async look(ours: readonly LocalEndpoint[], { engineEndpoints, view }: Pick<Member, 'engineEndpoints' | 'view'>) {
    const { health, logger } = this.#deps;
    const ids = new Set(ours.map(containerOf));
    health.follow(ids, () => {
      this.#isTold = true;
      this.#onChange();
    });
    const all = ours.map(({ record }) => record.id).join();
    if (!this.#isTold && all === this.#looked) return;
    this.#isTold = false;
    this.#looked = all;
    const unhealthy = await health.unhealthy(ids);
    for (const endpoint of ours) {
      const { record } = endpoint;
      const known = unhealthy.get(containerOf(endpoint));
      const is = known ? 'unhealthy' : undefined;
      if (known === undefined || view.endpoint(record)?.health === is) continue;
      try {
        await engineEndpoints.change.make(record, { health: is });
        logger.info({ endpoint: record.name, health: is ?? 'healthy' }, "a container's own check changed its mind");
      } catch (error) {
        this.#isTold = true;
        logger.warn({ endpoint: record.name, error }, 'health of a container could not be told, trying again');
      }
    }
  }
}

function containerOf({ owner }: LocalEndpoint): string {
  return parseOwnerKey(owner!.key).containerId;
}
