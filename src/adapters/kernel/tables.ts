/**
 * Reads and writes our nftables tables, in the kernel's thread. The kernel counts the changes of all tables of a namespace
 * (its generation); a table is listed only when the number is not the one that it was listed at.
 */
import { statSync } from 'node:fs';
import { OverlaydError } from '../../core/errors.ts';
import { HOST, type Place, TABLE } from '../../core/host-state.ts';
import type { Filter, NetworkTables } from '../../core/packet-filter.ts';
import { hasLibnftables, type NftablesOutcome, OUTPUT, runNftables } from '../native/libnftables.ts';
import { decodeGeneration, decodeTableFlags, getGeneration, getTable } from '../netlink/nftables.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { NFPROTO_BRIDGE, NFPROTO_INET } from '../netlink/uapi/netfilter.ts';
import { NETLINK_NETFILTER } from '../netlink/uapi/netlink.ts';
import type { FilterAnswer, FilterQuestion } from './jobs.ts';
import { pathOf } from './means.ts';
import { parseFilter } from './nftables.ts';

export interface Table {
  /** Another one for each content. */
  readonly version: number;
  /** Undefined: there is no table. */
  readonly filter: Filter | undefined;
}

interface Listed extends Table {
  readonly generation: string | undefined;
  readonly text: string;
}

const NO_TABLES: NetworkTables = { filter: undefined, services: undefined };

export class Tables {
  /** By family and place. */
  readonly #listed = new Map<string, Listed>();
  #versions = 0;

  /** Our table of that place. Throws where the namespace cannot be entered, `tool-missing`, `data-path-failed`. */
  read(place: Place, family: Filter['family']): Table {
    return this.#listing(place, family);
  }

  #listing(place: Place, family: Filter['family']): Listed {
    const key = `${family} ${place}`;
    const last = this.#listed.get(key);
    // The number is older than the listing: what changes in between is listed again the next time.
    const generation = generationOf(place);
    if (generation !== undefined && last?.generation === generation) return last;
    const text = list(place, family);
    if (last?.text !== text) this.#versions += 1;
    const table =
      last?.text === text
        ? { ...last, generation }
        : {
            version: this.#versions,
            generation,
            text,
            filter: text === FLAGGED ? { family, sets: [], chains: [] } : parseFilter(text),
          };
    this.#listed.set(key, table);
    return table;
  }

  /** What is not as the asker knows it. One that cannot be read is not as it should be: whoever looks is told why. */
  answer({ name, known }: FilterQuestion): FilterAnswer {
    try {
      const [bridge, inet] = [this.#listing(name, 'bridge'), this.#listing(name, 'inet')];
      // Changed in between: to be told again.
      const generation = bridge.generation === inet.generation ? bridge.generation : undefined;
      const isKnown = generation !== undefined && generation === known;
      return { generation, tables: isKnown ? undefined : { filter: bridge.filter, services: inet.filter } };
    } catch {
      return { generation: undefined, tables: NO_TABLES };
    }
  }

  /** Of a namespace that goes or comes: a later one may have the same number of changes, and other contents. */
  forget(place: Place): void {
    for (const family of Object.keys(FAMILIES)) this.#listed.delete(`${family} ${place}`);
  }
}

/** Which namespace it is, and how often its tables were changed; undefined where that is not told. */
function generationOf(place: Place): string | undefined {
  const path = pathOf(place);
  const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, namespace: path });
  try {
    const changes = socket.get(getGeneration(), decodeGeneration);
    return `${path === undefined ? HOST : statSync(path).ino}:${changes}`;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/** Stands for a table that somebody gave flags, which none of ours has. */
const FLAGGED = 'flags';
const FAMILIES = { inet: NFPROTO_INET, bridge: NFPROTO_BRIDGE } as const;

/** The listing of our table; empty when there is none. */
function list(place: Place, family: Filter['family']): string {
  // A dormant table filters nothing, and looks like any other. Of one with flags libnftables 1.0.6 writes JSON out of
  // memory that it has freed, which ends the process.
  const flags = flagsOf(place, family);
  if (flags === undefined) return '';
  if (flags !== 0) return FLAGGED;
  const { ok, output, errors } = runRules(place, `list table ${family} ${TABLE}`, OUTPUT.JSON | OUTPUT.STATELESS);
  if (ok) return output;
  if (errors.includes('No such file or directory')) return '';
  throw new OverlaydError('data-path-failed', `listing the table ${family} ${TABLE} failed: ${errors.trim()}`, {
    retryable: true,
  });
}

/** Undefined: there is no table; 0 also where nothing is told of it. */
function flagsOf(place: Place, family: Filter['family']): number | undefined {
  let socket: NetlinkSocket | undefined;
  try {
    socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, namespace: pathOf(place) });
    return socket.get(getTable(FAMILIES[family], TABLE), decodeTableFlags, ['ENOENT']);
  } catch {
    return 0;
  } finally {
    socket?.close();
  }
}

/** Runs commands of nft there; all of them are one transaction. JSON is asked of tables alone that have no flags. */
export function runRules(place: Place, commands: string, outputFlags = 0): NftablesOutcome {
  if (!hasLibnftables()) {
    const message =
      "the library libnftables.so.1 is not on this host; install the package libnftables1 (Debian's name)";
    throw new OverlaydError('tool-missing', message);
  }
  return runNftables(pathOf(place), commands, outputFlags);
}
