import { OverlaydError } from '../../core/errors.ts';
import type { Telemetry } from '../../core/telemetry.ts';
import { KVService, LeaseService, RangeRequest, type RangeResponse } from '../../gen/etcd/rpc.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type {
  ClusterStore,
  Compare,
  StoreEntry,
  StoreMaintenance,
  StoreMembership,
  StoreStatus,
  StoreUsers,
  TxnResult,
  WatchUpdate,
  Write,
} from '../../ports/store.ts';
import { BUDGET_MS, EtcdConnection } from './connection.ts';
import { askAgain, type Doubted, lookBack, whatHappened, whatHistoryTells } from './doubt.ts';
import { readHistory } from './history.ts';
import { keepLive } from './lease-keeper.ts';
import { createMaintenance } from './maintenance.ts';
import { createMembership } from './membership.ts';
import {
  decodeEntry,
  deletedBy,
  encodeCompare,
  encodeGet,
  encodeKey,
  encodePrefixEnd,
  encodeWrite,
  MAX_TXN_OPERATIONS,
} from './request.ts';
import { isCompacted, isMajorityLost, mayHaveHappened } from './store-error.ts';
import type { EtcdTarget, EtcdTls } from './target.ts';
import { createUsers } from './users.ts';
import { watchPrefix } from './watch.ts';

export interface EtcdStore extends ClusterStore {
  readonly membership: StoreMembership;
  readonly maintenance: StoreMaintenance;
  readonly users: StoreUsers;
  /**
   * Where etcd is from now on, the one to be used first where it serves. What is under way with an endpoint that stays goes on.
   * Throws `config-invalid`.
   */
  setEndpoints(endpoints: readonly string[]): void;
  /** For connections from now on. */
  setTls(tls: EtcdTls): void;
  status(): StoreStatus;
  /** Alarms that etcd has raised, in words with what to do; none when it does not say. Never rejects. */
  alarms(): Promise<readonly string[]>;
  /** Ends watches and kept leases (without revoking them) and closes connections. */
  close(): void;
}

const PAGE_SIZE = 1_000;

/** Connects on first use; an etcd that is down is an error of the calls, not of this one. */
export function createEtcdStore(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly telemetry?: Telemetry },
  target: EtcdTarget,
): EtcdStore {
  const { clock, telemetry } = deps;
  const logger = deps.logger.child({ part: 'etcd' });
  const connection = new EtcdConnection({ clock, logger, telemetry }, target);
  const closed = new AbortController();
  const untilClosed = (signal: AbortSignal) => AbortSignal.any([signal, closed.signal]);
  const list = (prefix: string) => listPrefix(connection, prefix);

  return {
    membership: createMembership(connection),
    maintenance: createMaintenance(connection),
    users: createUsers(connection),

    async get(key: string): Promise<StoreEntry | undefined> {
      const { kvs } = await connection.call(KVService.range, encodeGet(key), { repeatable: true });
      return kvs[0] && decodeEntry(kvs[0]);
    },

    list,

    async txn(compares: readonly Compare[], writes: readonly Write[]): Promise<TxnResult> {
      if (Math.max(compares.length, writes.length) > MAX_TXN_OPERATIONS) {
        throw new OverlaydError('store-failed', `a transaction may have ${MAX_TXN_OPERATIONS} operations at most`);
      }
      const request = { compare: compares.map(encodeCompare), success: writes.map(encodeWrite), failure: [] };
      const startedAt = clock.elapsed();
      let known: number | undefined;
      const onSend = (revision: number) => {
        known = revision;
      };
      try {
        const answer = await connection.call(KVService.txn, request, { repeatable: writes.length === 0, onSend });
        const { succeeded, header } = answer;
        return { succeeded, revision: header?.revision ?? 0, deleted: deletedBy(answer) };
      } catch (error) {
        const mayAsk = known !== undefined && mayHaveHappened(error) && !isMajorityLost(error);
        const budgetMs = BUDGET_MS - (clock.elapsed() - startedAt);
        const doubted = { compares, writes, after: known ?? 0 };
        const outcome = mayAsk && budgetMs > 0 ? await settle(connection, clock, doubted, budgetMs) : undefined;
        if (outcome === undefined) throw error;
        return outcome;
      }
    },

    watch(prefix: string, signal: AbortSignal): AsyncIterable<WatchUpdate> {
      return watchPrefix({ connection, clock, logger, list }, prefix, untilClosed(signal));
    },

    async grantLease(ttlSeconds: number): Promise<string> {
      // Twice does no harm: a lease without keys goes by itself.
      const request = { TTL: ttlSeconds, ID: '0' };
      return (await connection.call(LeaseService.leaseGrant, request, { repeatable: true })).ID;
    },

    keepLive(key: string, value: string, ttlSeconds: number, signal: AbortSignal): Promise<void> {
      return keepLive({ connection, clock, logger }, { key, value, ttlSeconds }, untilClosed(signal));
    },

    setEndpoints: (endpoints) => connection.setEndpoints(endpoints),

    setTls: (tls) => connection.setTls(tls),

    status: () => connection.status(),

    alarms: () => connection.alarms().catch(() => []),

    close(): void {
      closed.abort();
      connection.close();
    },
  };
}

/** What came of a transaction that was sent; undefined: nobody can tell. Never rejects. */
async function settle(
  connection: EtcdConnection,
  clock: Pick<Clock, 'elapsed' | 'sleep'>,
  doubted: Doubted,
  budgetMs: number,
): Promise<TxnResult | undefined> {
  const question = askAgain(doubted);
  if (question === undefined) return undefined;
  const over = new AbortController();
  const inTime = clock.sleep(budgetMs, over.signal).then(
    () => over.abort(),
    () => undefined,
  );
  try {
    const answer = await connection.call(KVService.txn, question, { repeatable: true, budgetMs });
    const outcome = whatHappened(answer, doubted);
    const back = outcome ? undefined : lookBack(answer, doubted);
    if (back === undefined) return outcome;
    const { after } = doubted;
    const events = await readHistory(await connection.link(over.signal), { ...back, after }, over.signal);
    return events && whatHistoryTells(events, answer, doubted);
  } catch {
    return undefined;
  } finally {
    over.abort();
    await inTime;
  }
}

/** All keys below the prefix as they are at one revision, page by page. */
async function listPrefix(
  connection: EtcdConnection,
  prefix: string,
): Promise<{ readonly revision: number; readonly entries: StoreEntry[] }> {
  const rangeEnd = encodePrefixEnd(prefix);
  const page = (key: Buffer, revision: number): Promise<RangeResponse> => {
    const request = RangeRequest.fromPartial({ key, rangeEnd, limit: PAGE_SIZE, revision });
    return connection.call(KVService.range, request, { repeatable: true });
  };

  while (true) {
    try {
      let answer = await page(encodeKey(prefix), 0);
      const revision = answer.header?.revision ?? 0;
      const entries = answer.kvs.map(decodeEntry);
      while (answer.more) {
        const after = Buffer.concat([answer.kvs.at(-1)!.key, Buffer.from([0])]);
        answer = await page(after, revision);
        for (const kv of answer.kvs) entries.push(decodeEntry(kv));
      }
      return { revision, entries };
    } catch (error) {
      // A compaction overtook the pages: begin anew, at a newer revision.
      if (!isCompacted(error)) throw error;
    }
  }
}
