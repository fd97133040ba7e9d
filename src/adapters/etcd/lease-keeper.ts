/**
 * Holds one key under one lease: grants the lease, puts the key, keeps alive at a third of the TTL, and takes the lease for
 * lost at 1 x TTL after the last request that was answered, by its own monotonic clock, so never later than the server
 * does. A lost lease is replaced and the key put again.
 *
 * It runs among everything else: an event loop that stalls for less than two thirds of the TTL loses nothing
 * (docs/adr/0014-the-lease-needs-no-thread.md).
 */
import type { Clock, Logger } from '../../ports/runtime.ts';
import { type Granted, LeaseClient } from './lease-client.ts';
import { asStoreError } from './store-error.ts';
import type { EtcdTarget } from './target.ts';

export interface LeaseKeeperDeps {
  readonly target: EtcdTarget;
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
  const { target, clock, logger } = deps;
  const { key } = leased;
  let lease: Lease | undefined;
  let failures = 0;
  const lost = () => {
    if (lease !== undefined) logger.warn({ key, lease: lease.id }, 'lease lost, publishing under a new one');
    lease = undefined;
  };
  for (let turn = 0; !signal.aborted; turn++) {
    const endpoint = target.endpoints[turn % target.endpoints.length]!;
    const client = new LeaseClient(target, endpoint);
    const close = () => client.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      if (lease !== undefined && clock.elapsed() >= lease.validUntil) lost();
      lease ??= await grant(client, clock, leased.ttlSeconds);
      if (!lease.published) {
        await client.put(key, leased.value, lease.id);
        lease.published = true;
        logger.info({ key, lease: lease.id }, 'leased key published');
      }
      await keepAlive({ client, clock }, lease, leased.ttlSeconds, signal, () => {
        failures = 0;
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LeaseGone || /requested lease not found/.test(String(error))) {
        lost();
        turn--; // the endpoint answers well
      } else if (failures === 0) {
        const reason = asStoreError(error, endpoint).message;
        logger.warn({ key, reason }, 'lease keep-alive failing, retrying');
      }
    } finally {
      signal.removeEventListener('abort', close);
      client.close();
    }
    const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++) * (0.5 + Math.random() / 2);
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}

class LeaseGone extends Error {}

async function grant(client: LeaseClient, clock: Pick<Clock, 'elapsed'>, ttlSeconds: number): Promise<Lease> {
  const sentAt = clock.elapsed();
  const granted = await client.grant(ttlSeconds);
  return { id: granted.id, validUntil: sentAt + granted.ttlSeconds * 1_000, published: false };
}

/**
 * Returns when the lease ran out by our clock; throws when the stream fails, the server does not know the lease, or the
 * signal aborts.
 */
async function keepAlive(
  { client, clock }: { readonly client: LeaseClient; readonly clock: Pick<Clock, 'elapsed' | 'sleep'> },
  lease: Lease,
  ttlSeconds: number,
  signal: AbortSignal,
  onAnswer: () => void,
): Promise<void> {
  const stream = client.keepAlive();
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, signal]);
  const waiting: number[] = [];
  stream.on('data', ({ ttlSeconds: left }: Granted) => {
    const sentAt = waiting.shift();
    if (left <= 0) return over.abort(new LeaseGone());
    if (sentAt !== undefined) lease.validUntil = sentAt + left * 1_000;
    onAnswer();
  });
  stream.on('error', (error) => over.abort(error));
  stream.on('end', () => over.abort(new Error('14 UNAVAILABLE: the keep-alive stream ended')));
  try {
    while (clock.elapsed() < lease.validUntil) {
      waiting.push(clock.elapsed());
      stream.write(lease.id);
      const leftMs = lease.validUntil - clock.elapsed();
      const intervalMs = Math.min((ttlSeconds * 1_000) / 3, LONGEST_INTERVAL_MS, leftMs);
      for (let turn = 0; turn < TURNS; turn++) await clock.sleep(intervalMs / TURNS, either);
      if (waiting.length > 0) throw new Error('4 DEADLINE_EXCEEDED: keep-alive not answered');
    }
  } catch (error) {
    throw over.signal.aborted ? over.signal.reason : error;
  } finally {
    stream.cancel();
  }
}
