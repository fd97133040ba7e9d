/**
 * Holds one key under one lease, for ever: grants the lease, puts the key, keeps alive at a third of the TTL, and takes
 * the lease for lost at 1 x TTL after the last request that was answered, by its own monotonic clock, so never later
 * than the server does. A lost lease is replaced and the key put again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Granted, LeaseClient } from './lease-client.ts';
import { asStoreError } from './store-error.ts';
import type { EtcdTarget } from './target.ts';

export interface LeasedKey {
  readonly key: string;
  readonly value: string;
  readonly ttlSeconds: number;
}

export type LeaseReport =
  | { readonly kind: 'held'; readonly lease: string }
  | { readonly kind: 'lost'; readonly lease: string }
  | { readonly kind: 'failing'; readonly reason: string };

interface Lease {
  readonly id: string;
  validUntil: number;
  published: boolean;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;
/** A connection that is dead at the other end is noticed within two of them, however long the lease is. */
const LONGEST_INTERVAL_MS = 5_000;

/** Never returns. Runs in a thread that is terminated when it is not wanted any more. */
export async function holdLeasedKey(
  target: EtcdTarget,
  leased: LeasedKey,
  report: (report: LeaseReport) => void,
): Promise<never> {
  let lease: Lease | undefined;
  let failures = 0;
  for (let turn = 0; ; turn++) {
    const endpoint = target.endpoints[turn % target.endpoints.length]!;
    const client = new LeaseClient(target, endpoint);
    try {
      if (lease !== undefined && performance.now() >= lease.validUntil) {
        report({ kind: 'lost', lease: lease.id });
        lease = undefined;
      }
      lease ??= await grant(client, leased.ttlSeconds);
      if (!lease.published) {
        await publish(client, lease, leased);
        report({ kind: 'held', lease: lease.id });
      }
      await keepAlive(client, lease, leased.ttlSeconds, () => {
        failures = 0;
      });
    } catch (error) {
      if (error instanceof LeaseGone || /requested lease not found/.test(String(error))) {
        if (lease !== undefined) report({ kind: 'lost', lease: lease.id });
        lease = undefined;
        turn--; // the endpoint answers well
      } else if (failures === 0) {
        report({ kind: 'failing', reason: asStoreError(error, endpoint).message });
      }
    } finally {
      client.close();
    }
    await sleep(Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++) * (0.5 + Math.random() / 2));
  }
}

class LeaseGone extends Error {}

async function grant(client: LeaseClient, ttlSeconds: number): Promise<Lease> {
  const sentAt = performance.now();
  const granted = await client.grant(ttlSeconds);
  return { id: granted.id, validUntil: sentAt + granted.ttlSeconds * 1_000, published: false };
}

async function publish(client: LeaseClient, lease: Lease, leased: LeasedKey): Promise<void> {
  await client.put(leased.key, leased.value, lease.id);
  lease.published = true;
}

/** Returns when the lease ran out by our clock; throws when the stream fails or the server does not know the lease. */
async function keepAlive(client: LeaseClient, lease: Lease, ttlSeconds: number, onAnswer: () => void): Promise<void> {
  const stream = client.keepAlive();
  const over = new AbortController();
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
    while (performance.now() < lease.validUntil) {
      waiting.push(performance.now());
      stream.write(lease.id);
      const intervalMs = Math.min((ttlSeconds * 1_000) / 3, LONGEST_INTERVAL_MS, lease.validUntil - performance.now());
      await sleep(intervalMs, undefined, { signal: over.signal });
      if (waiting.length > 0) throw new Error('4 DEADLINE_EXCEEDED: keep-alive not answered');
    }
  } catch (error) {
    throw over.signal.aborted ? over.signal.reason : error;
  } finally {
    stream.cancel();
  }
}
