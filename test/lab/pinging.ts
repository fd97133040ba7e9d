import type { Host, HostProcess } from './host.ts';
import { until } from './until.ts';

/** Echo requests from a container, one after the other, each with its sequence number. */
export interface Pinging {
  /** How many were answered so far. */
  replies(): number;
  /** Ends it, and tells the numbers up to the last reply that have none. */
  end(): Promise<readonly number[]>;
}

/** Resolves when some were answered. */
export async function startPinging(
  host: Host,
  container: string,
  address: string,
  intervalSeconds = 0.01,
): Promise<Pinging> {
  const ping = host.spawn(['ip', 'netns', 'exec', container, 'ping', '-n', '-i', String(intervalSeconds), address]);
  const replies = () => ping.output.split('icmp_seq=').length - 1;
  await until(`the pings of ${container} to be answered`, () => replies() > 10);
  return {
    replies,
    async end() {
      await ping.kill('SIGINT');
      await ping.exited;
      return lost(ping);
    },
  };
}

function lost(ping: HostProcess): readonly number[] {
  const seen = new Set([...ping.output.matchAll(/icmp_seq=(\d+)/g)].map((match) => Number(match[1])));
  const last = Math.max(0, ...seen);
  return Array.from({ length: last }, (_, index) => index + 1).filter((sequence) => !seen.has(sequence));
}
