/**
 * Holds one key under one lease: grants the lease, puts the key, keeps alive at a third of the TTL, and takes the lease for
 * lost at 1 x TTL after the last request that was answered, by its own monotonic clock, so never later than the server
 * does. A lost lease is replaced and the key put again.
 *
 * It runs among everything else: an event loop that stalls for less than two thirds of the TTL loses nothing
 * (docs/adr/0014-the-lease-needs-no-thread.md).
 */
import { status } from '@grpc/grpc-js';
import { KVService, type LeaseKeepAliveResponse, LeaseService } from '../../gen/etcd/rpc.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { EtcdConnection } from './connection.ts';
import type { Link } from './link.ts';
import { encodePut } from './request.ts';
import { asStoreError, isNotFound, StatusError } from './store-error.ts';

export interface LeaseKeeperDeps {
  readonly connection: EtcdConnection;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly logger: Logger;
}

export interface LeasedKey {
  readonly key: string;
  readonly value: string;
  readonly ttlSeconds: number;
}

interface Lease {
  readonly id: string;
  validUntil: number;
  published: boolean;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;
/** A connection that is dead at the other end is noticed within two of them, however long the lease is. */
const LONGEST_INTERVAL_MS = 5_000;
/** Of an interval. A stall makes one of them late: what came meanwhile is read before the next one ends. */
const TURNS = 2;

/** Resolves when the signal aborts, without revoking the lease. Never rejects. */
export async function keepLive(deps: LeaseKeeperDeps, leased: LeasedKey, signal: AbortSignal): Promise<void> {
  const { connection, clock, logger } = deps;
  const { key, value, ttlSeconds } = leased;
  let lease: Lease | undefined;
  let failures = 0;
  const lost = () => {
    if (lease !== undefined) logger.warn({ key, lease: lease.id }, 'lease lost, publishing under a new one');
    lease = undefined;
  };
  while (!signal.aborted) {
    try {
      if (lease !== undefined && clock.elapsed() >= lease.validUntil) lost();
      lease ??= await grantLease(deps, ttlSeconds, signal);
      if (!lease.published) {
        // Twice is the same key with the same value.
        await connection.call(KVService.put, encodePut(key, value, lease.id), { repeatable: true, signal });
        lease.published = true;
        logger.info({ key, lease: lease.id }, 'leased key published');
      }
      await keepAlive(deps, await connection.link(signal), lease, ttlSeconds, signal, () => {
        failures = 0;
      });
      continue;
    } catch (error) {
      if (signal.aborted) return;
      if (isNotFound(error)) lost();
      else if (failures === 0) {
        const reason = asStoreError(error, connection.status().endpoints[0]!).message;
        logger.warn({ key, reason }, 'lease keep-alive failing, retrying');
      }
    }
    const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++) * (0.5 + Math.random() / 2);
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}

/** Twice does no harm: a lease without keys goes by itself. */
async function grantLease(
  { connection, clock }: Pick<LeaseKeeperDeps, 'connection' | 'clock'>,
  ttlSeconds: number,
  signal: AbortSignal,
): Promise<Lease> {
  const sentAt = clock.elapsed();
  const request = { TTL: ttlSeconds, ID: '0' };
  const granted = await connection.call(LeaseService.leaseGrant, request, { repeatable: true, signal });
  return { id: granted.ID, validUntil: sentAt + granted.TTL * 1_000, published: false };
}

/**
 * Returns when the lease ran out by our clock, or another connection is used; throws when the stream fails, the server does
 * not know the lease, or the signal aborts.
 */
async function keepAlive(
  { connection, clock }: Pick<LeaseKeeperDeps, 'connection' | 'clock'>,
  link: Link,
  lease: Lease,
  ttlSeconds: number,
  signal: AbortSignal,
  onAnswer: () => void,
): Promise<void> {
  const stream = link.stream(LeaseService.leaseKeepAlive);
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, link.over, signal]);
  const waiting: number[] = [];
  stream.on('data', ({ header, TTL: left }: LeaseKeepAliveResponse) => {
    const sentAt = waiting.shift();
    if (left <= 0) return over.abort(new StatusError(status.NOT_FOUND, 'the lease is gone'));
    if (sentAt !== undefined) lease.validUntil = sentAt + left * 1_000;
    connection.heard(header, link);
    onAnswer();
  });
  stream.on('error', (error) => over.abort(error));
  stream.on('end', () => over.abort(new StatusError(status.UNAVAILABLE, 'the keep-alive stream ended')));
  try {
    while (clock.elapsed() < lease.validUntil) {
      waiting.push(clock.elapsed());
      stream.write({ ID: lease.id });
      const leftMs = lease.validUntil - clock.elapsed();
      const intervalMs = Math.min((ttlSeconds * 1_000) / 3, LONGEST_INTERVAL_MS, leftMs);
      const end = intervalMs < leftMs ? 'loosely' : undefined;
      for (let turn = 0; turn < TURNS; turn++) await clock.sleep(intervalMs / TURNS, either, end);
      if (waiting.length > 0) throw new StatusError(status.DEADLINE_EXCEEDED, 'keep-alive not answered');
    }
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    if (link.isRetired) return;
    const error = over.signal.aborted ? over.signal.reason : link.over.aborted ? link.over.reason : thrown;
    if (!isNotFound(error)) connection.failed(link, error);
    throw error;
  } finally {
    stream.cancel();
  }
}
