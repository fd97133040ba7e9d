import type { LocalEndpoint } from '../../core/container.ts';
import type { Logger } from '../../ports/runtime.ts';

export interface GoneEndpointsDeps {
  readonly onGone: (endpoints: readonly LocalEndpoint[]) => Promise<void>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Endpoints whose port and container are both gone, told to their owner: each once, until that has ended. */
export class GoneEndpoints {
  readonly #deps: GoneEndpointsDeps;
  readonly #releasing = new Set<string>();

  constructor(deps: GoneEndpointsDeps) {
    this.#deps = deps;
  }

  release(gone: readonly LocalEndpoint[]): void {
    const fresh = gone.filter(({ record }) => !this.#releasing.has(record.id));
    if (fresh.length === 0) return;
    for (const { record } of fresh) this.#releasing.add(record.id);
    const { onGone, logger } = this.#deps;
    onGone(fresh)
      .catch((error: unknown) => logger.warn({ error }, 'endpoints of gone containers could not be released'))
      .finally(() => {
        for (const { record } of fresh) this.#releasing.delete(record.id);
      });
  }
}
