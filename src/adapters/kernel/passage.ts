/** Reads what `core/firewall.ts` counts by, and which firewall is there. */
import type { Firewall, Passage } from '../../core/firewall.ts';
import type { Run } from '../exec.ts';
import type { KernelThread } from './kernel-thread.ts';
import { parsePassage } from './nftables.ts';

type Thread = Pick<KernelThread, 'ask'>;

/** Undefined while our table is not there. */
export async function readPassage(thread: Thread, signal?: AbortSignal): Promise<Passage | undefined> {
  const listing = await thread.ask('counters', undefined, signal);
  return listing === undefined ? undefined : parsePassage(listing);
}

/** By the names of its tables and chains. */
export async function findFirewall(thread: Thread, run: Run, signal?: AbortSignal): Promise<Firewall | undefined> {
  const chains = (await thread.ask('rules', { command: 'list chains' }, signal)) ?? '';
  if (/^table inet firewalld /m.test(chains)) return 'firewalld';
  if (/^\s*chain ufw-/m.test(chains)) return 'ufw';
  // On hosts whose iptables is the one that is not on nftables.
  const legacy = await run(['iptables', '-S'], { signal }).catch(() => undefined);
  return legacy && /^-N ufw-/m.test(legacy.stdout) ? 'ufw' : undefined;
}
