import type { ZoneChanges } from '../../core/dns/zone-changes.ts';
import type { NamesSession } from '../../ports/names.ts';

/** What one session was told. */
export interface Told {
  readonly session: NamesSession;
  readonly zones: ZoneChanges;
  /** By network id: clients by address, as text. */
  readonly clients: Map<string, ReadonlyMap<string, string>>;
  readonly whole: Set<string>;
  kept: boolean;
}

/** What has to be looked at. */
export interface Stale {
  readonly networks: Set<string>;
  cluster: boolean;
  clients: boolean;
}
