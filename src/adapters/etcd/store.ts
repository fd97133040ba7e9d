import type { IRangeResponse } from 'etcd3';
import { OverlaydError } from '../../core/errors.ts';
import { parseHttpUrl } from '../../core/host-port.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type {
  ClusterStore,
  Compare,
  StoreEntry,
  StoreStatus,
  TxnResult,
  WatchUpdate,
  Write,
} from '../../ports/store.ts';
import { EtcdConnection } from './connection.ts';
import { keepLive } from './lease-keeper.ts';
import { decodeEntry, encodeCompare, encodeKey, encodePrefixEnd, encodeWrite, MAX_TXN_OPERATIONS } from './request.ts';
import { isCompacted } from './store-error.ts';
import type { EtcdTarget } from './target.ts';
import { watchPrefix } from './watch.ts';

export interface EtcdStore extends ClusterStore {
  status(): StoreStatus;
  /** Alarms that etcd has raised, in words with what to do; none when it does not say. Never rejects. */
  alarms(): Promise<readonly string[]>;
  /** Ends watches and kept leases (without revoking them) and closes connections. */
  close(): void;
}

const PAGE_SIZE = 1_000;

/** Connects on first use; an etcd that is down is an error of the calls, not of this one. */
export function createEtcdStore(
  deps: { readonly logger: Logger; readonly clock: Clock },
  target: EtcdTarget,
): EtcdStore {
  const { clock } = deps;
  const logger = deps.logger.child({ part: 'etcd' });
  assertTarget(target);
  const connection = new EtcdConnection({ clock, logger }, target);
  const closed = new AbortController();
  const untilClosed = (signal: AbortSignal) => AbortSignal.any([signal, closed.signal]);
  const list = (prefix: string) => listPrefix(connection, prefix);

  return {
    async get(key: string): Promise<StoreEntry | undefined> {
      const { kvs } = await connection.call(true, (client) => client.kv.range({ key: encodeKey(key) }));
      return kvs[0] && decodeEntry(kvs[0]);
    },

    list,

    async txn(compares: readonly Compare[], writes: readonly Write[]): Promise<TxnResult> {
      if (Math.max(compares.length, writes.length) > MAX_TXN_OPERATIONS) {
        throw new OverlaydError('store-failed', `a transaction may have ${MAX_TXN_OPERATIONS} operations at most`);
      }
      const request = { compare: compares.map(encodeCompare), success: writes.map(encodeWrite) };
      const answer = await connection.call(writes.length === 0, (client) => client.kv.txn(request));
      const deleted = answer.responses.flatMap(({ response_delete_range: range }) => range?.prev_kvs ?? []);
      return {
        succeeded: answer.succeeded,
        revision: Number(answer.header.revision),
        deleted: deleted.map(({ key }) => key.toString('utf8')),
      };
    },

    watch(prefix: string, signal: AbortSignal): AsyncIterable<WatchUpdate> {
      return watchPrefix({ connection, clock, logger, list }, prefix, untilClosed(signal));
    },

    async grantLease(ttlSeconds: number): Promise<string> {
      // Twice does no harm: a lease without keys goes by itself.
      const answer = await connection.call(true, (client) => client.leaseClient.leaseGrant({ TTL: ttlSeconds }));
      return answer.ID;
    },

    keepLive(key: string, value: string, ttlSeconds: number, signal: AbortSignal): Promise<void> {
      return keepLive({ target, clock, logger }, { key, value, ttlSeconds }, untilClosed(signal));
    },

    status: () => connection.status(),

    alarms: () => connection.alarms().catch(() => []),

    close(): void {
      closed.abort();
      connection.close();
    },
  };
}

/** All keys below the prefix as they are at one revision, page by page. */
async function listPrefix(
  connection: EtcdConnection,
  prefix: string,
): Promise<{ readonly revision: number; readonly entries: StoreEntry[] }> {
  const rangeEnd = encodePrefixEnd(prefix);
  const page = (from: Buffer, revision: number): Promise<IRangeResponse> =>
    connection.call(true, (client) => client.kv.range({ key: from, range_end: rangeEnd, limit: PAGE_SIZE, revision }));

  while (true) {
    try {
      let answer = await page(encodeKey(prefix), 0);
      const revision = Number(answer.header.revision);
      const entries = answer.kvs.map(decodeEntry);
      while (answer.more) {
        const after = Buffer.concat([answer.kvs.at(-1)!.key, Buffer.from([0])]);
        answer = await page(after, revision);
        for (const kv of answer.kvs) entries.push(decodeEntry(kv));
      }
      return { revision, entries };
    } catch (error) {
      // A compaction overtook the pages: begin anew, at a newer revision.
      if (!(error instanceof OverlaydError) || !isCompacted(error.cause)) throw error;
    }
  }
}

function assertTarget({ endpoints, tls }: EtcdTarget): void {
  if (endpoints.length === 0) throw new OverlaydError('config-invalid', 'no etcd endpoint is given');
  for (const endpoint of endpoints) {
    if (parseHttpUrl(endpoint) === undefined) {
      throw new OverlaydError('config-invalid', `etcd endpoint '${endpoint}' is not http(s)://HOST:PORT`);
    }
    if (tls !== undefined && endpoint.startsWith('http:')) {
      throw new OverlaydError('config-invalid', `etcd endpoint '${endpoint}' must be https:// to use the certificates`);
    }
  }
}
