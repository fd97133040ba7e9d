/** Compares what the process that answers names knows of a network with what is to be answered there, when somebody asks. */
import type { NamesNews } from '../../core/dns/names-protocol.ts';
import { ZoneChanges, type ZoneSources } from '../../core/dns/zone-changes.ts';
import { isOverlaydError } from '../../core/errors.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import type { Told } from './told-names.ts';

export interface NamesAuditDeps extends Omit<ZoneSources, 'isGone'> {
  readonly local: Pick<LocalEndpoints, 'clientsOn'>;
  /** In words, why names are not answered there. */
  readonly problemOf: (networkId: string) => string | undefined;
  /** What the session was told; undefined: there is none. */
  readonly told: () => Told | undefined;
}

export class NamesAudit {
  readonly #deps: NamesAuditDeps;

  constructor(deps: NamesAuditDeps) {
    this.#deps = deps;
  }

  /** In words, what is wrong with the names of the network; undefined: nothing, or it cannot be told yet. */
  async problem(networkId: string): Promise<string | undefined> {
    const { problemOf } = this.#deps;
    return problemOf(networkId) ?? (await this.#compare(networkId, false));
  }

  /** What is answered otherwise is replaced, at once. */
  async repair(networkId: string): Promise<void> {
    await this.#compare(networkId, true);
  }

  async #compare(networkId: string, repair: boolean): Promise<string | undefined> {
    const told = this.#deps.told();
    // Of what is not all known yet nothing is wrong.
    if (!told?.whole.has(networkId)) return undefined;
    try {
      await told.session.ask({ kind: 'compare', networkId, news: this.#all(networkId), repair });
      return undefined;
    } catch (error) {
      if (isOverlaydError(error, 'conflict')) return error.message;
      // The process has ended: the next one is told all.
      if (told.session.ended.aborted) return undefined;
      throw error;
    }
  }

  #all(networkId: string): NamesNews[] {
    const zones = new ZoneChanges({ ...this.#deps, isGone: () => true });
    const clients: NamesNews = {
      kind: 'clients',
      networkId,
      set: [...this.#deps.local.clientsOn(networkId)],
      removed: [],
    };
    return [...zones.take(networkId, true), clients, { kind: 'whole', networkId }];
  }
}
