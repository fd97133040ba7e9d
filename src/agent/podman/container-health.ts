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
  /** Ids of containers of which something was written since; undefined: all are looked at. */
  #due: Set<string> | undefined;
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
    health.follow(ids, (id) => {
      this.#due?.add(id);
      this.#onChange();
    });
    const all = ours.map(({ record }) => record.id).join();
    const told = all === this.#looked ? this.#due : undefined;
    if (told?.size === 0) return;
    const due = new Set<string>();
    this.#due = due;
    this.#looked = all;
    const unhealthy = await health.unhealthy(told ? [...told].filter((id) => ids.has(id)) : ids);
    for (const endpoint of ours) {
      const { record } = endpoint;
      const known = unhealthy.get(containerOf(endpoint));
      const is = known ? 'unhealthy' : undefined;
      if (known === undefined || view.endpoint(record)?.health === is) continue;
      try {
        await engineEndpoints.change.make(record, { health: is });
        logger.info({ endpoint: record.name, health: is ?? 'healthy' }, "a container's own check changed its mind");
      } catch (error) {
        due.add(containerOf(endpoint));
        logger.warn({ endpoint: record.name, error }, 'health of a container could not be told, trying again');
      }
    }
  }
}

function containerOf({ owner }: LocalEndpoint): string {
  return parseOwnerKey(owner!.key).containerId;
}
