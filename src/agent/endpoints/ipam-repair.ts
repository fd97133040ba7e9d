/**
 * What etcd holds of addresses, read in one go, checked, and mended where it is nobody's. Each repair is one transaction that
 * holds only as long as all that it goes by is as it was found.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { checkAddresses, type Finding, type OwnEndpoints, type Repair } from '../../core/ipam/check.ts';
import { type EndpointRecord, keys, PREFIX, type QuarantineRecord } from '../../core/records.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, StoreEntry } from '../../ports/store.ts';
import type { AddressClaims } from '../claims/address-claims.ts';
import type { Releases } from '../claims/releases.ts';
import type { Networks } from '../networks/networks.ts';
import { type Change, type Commit, unchanged } from '../view/commit.ts';
import type { LocalEndpoints } from './local-endpoints.ts';

export interface IpamRepairDeps {
  readonly store: Pick<ClusterStore, 'list' | 'grantLease'>;
  readonly commit: Commit;
  /** What this host knows, and whether etcd goes on telling it. */
  readonly member: {
    readonly view: Pick<ClusterView, 'behind' | 'isWhole' | 'revision'>;
    readonly storeConnected: boolean;
  };
  readonly local: Pick<LocalEndpoints, 'all' | 'former' | 'removed' | 'unreadable'>;
  readonly claims: Pick<AddressClaims, 'recent' | 'leftoversSettled'>;
  readonly releases: Pick<Releases, 'isPending'>;
  readonly networks: Pick<Networks, 'find'>;
  /** Whether this host may write that key. */
  readonly isOwn: (key: string) => boolean;
  /** Has a keeper repair what this host may not, of a network or of all; returns the keys. */
  readonly askKeeper: (network: string) => Promise<readonly string[]>;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
}

export interface IpamRepairOptions {
  readonly selfId: string;
  readonly quarantineSeconds: number;
}

/** `changed`: it was not as found any more, and nothing was done. */
export type Outcome = 'found' | 'repairable' | 'repaired' | 'changed';

export interface Report {
  readonly revision: number;
  readonly findings: readonly (Finding & { readonly outcome: Outcome })[];
}

export class IpamRepair {
  readonly #deps: IpamRepairDeps;
  readonly #options: IpamRepairOptions;

  constructor(deps: IpamRepairDeps, options: IpamRepairOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Of a network (name, id or unique prefix of it), or of all where that is empty. Writes nothing. Throws `store-unavailable` where what etcd says proves nothing, `network-not-found`. */
  async check(network: string): Promise<Report> {
    const { revision, findings } = await this.#look(network);
    return {
      revision,
      findings: findings.map((each) => ({ ...each, outcome: each.repair ? 'repairable' : 'found' })),
    };
  }

  /** The same, and mends what has a repair. What it could not is `changed`. */
  async repair(network: string): Promise<Report> {
    const { revision, entries, findings } = await this.#look(network);
    const revisions = new Map(entries.map((entry) => [entry.key, entry]));
    const done: (Finding & { readonly outcome: Outcome })[] = [];
    let lease: Promise<string> | undefined;
    const resting = () => {
      lease ??= this.#deps.store.grantLease(this.#options.quarantineSeconds);
      return lease;
    };
    const isOthers = ({ repair }: Finding) => repair?.changes.some(({ key }) => !this.#deps.isOwn(key)) ?? false;
    const byKeeper = new Set(findings.some(isOthers) ? await this.#deps.askKeeper(network) : []);
    for (const finding of findings) {
      const { repair, key, kind, what } = finding;
      if (isOthers(finding)) {
        done.push({ ...finding, outcome: byKeeper.has(key) ? 'repaired' : 'changed' });
        continue;
      }
      const isDone = repair && (await this.#make(repair, (each) => revisions.get(each), resting));
      if (isDone) this.#deps.logger.warn({ event: 'ipam-repaired', key, kind, what }, 'addresses repaired on request');
      done.push({ ...finding, outcome: repair ? (isDone ? 'repaired' : 'changed') : 'found' });
    }
    return { revision, findings: done };
  }

  async #look(network: string) {
    const { claims, local, releases } = this.#deps;
    this.#refuseUnproved();
    const before = this.#own();
    const { revision: reached } = this.#deps.member.view;
    const { revision, entries } = await this.#deps.store.list(PREFIX);
    // An etcd that was put back meanwhile is seen by now, or says less than is known of it.
    this.#refuseUnproved();
    if (revision < reached) throw unproved('etcd answers with less than it held a moment ago');
    const { isKnown, endpoints } = this.#own();
    const own: OwnEndpoints = {
      nodeId: this.#options.selfId,
      byId: isKnown ? new Map([...before.endpoints, ...endpoints]) : undefined,
      isUnderway: (id) => claims.recent.has(id) || local.removed.has(id) || releases.isPending(id),
    };
    const findings = checkAddresses(entries, own);
    return { revision, entries, findings: await this.#within(network, findings) };
  }

  #refuseUnproved(): void {
    const { storeConnected, view } = this.#deps.member;
    if (view.behind)
      throw unproved('etcd holds less than it did, or was restored: nothing counts as missing in it now');
    if (!storeConnected || !view.isWhole) throw unproved('etcd does not tell this host what it holds');
  }

  /** Not known while the state file cannot be read, nor before what an earlier run left is sorted out. */
  #own(): { readonly isKnown: boolean; readonly endpoints: ReadonlyMap<string, EndpointRecord> } {
    const { claims, local } = this.#deps;
    const all = [...local.former(), ...local.all()];
    return {
      isKnown: local.unreadable === undefined && claims.leftoversSettled,
      endpoints: new Map(all.map(({ record }) => [record.id, record])),
    };
  }

  /** What cannot be told to be another network's counts as any's. A network that is gone is named by its id. */
  async #within(ref: string, findings: readonly Finding[]): Promise<readonly Finding[]> {
    if (ref === '') return findings;
    const gone = findings.find(
      ({ networkId, kind }) => kind !== 'unreadable' && ref.length >= 12 && networkId?.startsWith(ref),
    );
    const id = gone?.networkId ?? (await this.#deps.networks.find(ref)).id;
    return findings.filter(({ networkId }) => networkId === undefined || networkId === id);
  }

  async #make(
    { asFound, changes }: Repair,
    entryOf: (key: string) => StoreEntry | undefined,
    lease: () => Promise<string>,
  ): Promise<boolean> {
    const writes: Change[] = [];
    for (const change of changes) {
      if (change.kind === 'rest') {
        const by = this.#options.selfId;
        const record: QuarantineRecord = { releasedAt: this.#deps.clock.now(), by, clean: false };
        writes.push({ kind: 'put', key: change.key, record, lease: await lease() });
      } else {
        writes.push(change);
      }
    }
    // A host that is no member any more repairs nothing.
    const compared = new Set([...asFound, keys.node(this.#options.selfId)]);
    const compares = [...compared].map((key) => unchanged(key, entryOf(key)));
    return (await this.#deps.commit(compares, writes)) !== undefined;
  }
}

function unproved(why: string): OverlaydError {
  return new OverlaydError(
    'store-unavailable',
    `addresses cannot be checked now: ${why}; \`overlayd status\` says what to do, then try again`,
    { retryable: true },
  );
}
