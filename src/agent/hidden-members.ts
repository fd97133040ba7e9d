/** Members whose names are hidden, since nobody hears them, or they are gone; what becomes of each member is told. */
import { isThere, type Liveness } from '../core/failure-detector.ts';
import type { NodeRecord } from '../core/records.ts';
import type { Logger } from '../ports/runtime.ts';

export interface HiddenMembersDeps {
  readonly liveness: (nodeId: string) => Liveness;
  readonly logger: Logger;
}

type Seen = Pick<NodeRecord, 'name'> & { readonly state: Liveness | 'left' };

export class HiddenMembers {
  readonly #deps: HiddenMembersDeps;
  #seen = new Map<string, Seen>();
  #ids: ReadonlySet<string> = new Set();

  constructor(deps: HiddenMembersDeps) {
    this.#deps = deps;
  }

  get ids(): ReadonlySet<string> {
    return this.#ids;
  }

  /** True when others are hidden than before. `nodes`: all that are known. */
  update(nodes: Iterable<NodeRecord>): boolean {
    const { liveness, logger } = this.#deps;
    const seen = new Map<string, Seen>();
    const hidden = new Set<string>();
    for (const { id, name, left } of nodes) {
      const state = liveness(id);
      if (!isThere(state)) hidden.add(id);
      seen.set(id, { name, state: left ? 'left' : state });
    }
    this.#tell(seen);
    this.#seen = seen;
    if (hidden.size === this.#ids.size && [...hidden].every((id) => this.#ids.has(id))) return false;
    this.#ids = hidden;
    logger.info({ hidden: [...hidden].map((id) => seen.get(id)!.name) }, 'members whose names are hidden changed');
    return true;
  }

  #tell(seen: ReadonlyMap<string, Seen>): void {
    const { logger } = this.#deps;
    for (const [nodeId, { name: member, state }] of seen) {
      const before = this.#seen.get(nodeId)?.state;
      // Of one that is new here nothing has changed.
      if (before === undefined || before === state || before === 'left') continue;
      const fields = { member, nodeId };
      if (state === 'left') logger.info({ event: 'member-left', ...fields }, 'a member left the cluster');
      else if (state === 'ready') logger.info({ event: 'member-back', ...fields }, 'a member is heard again');
      else if (state === 'restarting')
        logger.info({ event: 'member-restarting', ...fields }, 'the agent of a member stops and will be back');
      else if (state === 'down') logger.warn({ event: 'member-down', ...fields }, 'a member is down');
      else logger.warn({ event: 'member-suspected', ...fields }, 'a member is not heard');
    }
    for (const [nodeId, { name: member, state }] of this.#seen) {
      if (seen.has(nodeId) || state === 'left') continue;
      logger.info({ event: 'member-left', member, nodeId }, 'a member left the cluster');
    }
  }
}
