/** Reads what `core/firewall.ts` counts by, and which firewall is there. */
import type { Firewall, Passage } from '../../core/firewall.ts';
import type { Run } from '../exec.ts';
import { hasLegacyTables } from '../legacy-tables.ts';
import type { KernelThread } from './kernel-thread.ts';

type Thread = Pick<KernelThread, 'ask'>;

/** Undefined while our table is not there. */
export function readPassage(thread: Thread, signal?: AbortSignal): Promise<Passage | undefined> {
  return thread.ask('counters', undefined, signal);
}

export interface FirewallDeps {
  readonly thread: Thread;
  readonly run: Run;
  /** Of the host that the thread acts upon (`hasLegacyTables`), where that is another one than this process's. */
  readonly net?: string;
}

/** By the names of its tables and chains; one of those that are likely to be in the way. */
export async function findFirewall(
  { thread, run, net }: FirewallDeps,
  signal?: AbortSignal,
): Promise<Firewall | undefined> {
  const chains = (await thread.ask('rules', { command: 'list chains' }, signal)) ?? '';
  if (/^table inet firewalld /m.test(chains)) return 'firewalld';
  if (/^\s*chain ufw-/m.test(chains)) return 'ufw';
  // As it leaves the chain of iptables on nftables.
  if (/hook forward priority filter; policy drop;/.test(chains) && /^\s*chain DOCKER/m.test(chains)) return 'docker';
  // To list what is not there would make its tables.
  if (!hasLegacyTables(4, net)) return undefined;
  const output = async (ended: ReturnType<Run>) => (await ended.catch(() => undefined))?.stdout ?? '';
  const rules =
    (await output(run(['iptables-legacy', '-S'], { signal }))) || (await output(run(['iptables', '-S'], { signal })));
  if (/^-N ufw-/m.test(rules)) return 'ufw';
  if (/^-P FORWARD DROP$/m.test(rules) && /^-N DOCKER/m.test(rules)) return 'docker';
  return /^-P \w+ DROP$|^-A (?:INPUT|FORWARD) .*-j (?:DROP|REJECT)/m.test(rules) ? 'iptables-legacy' : undefined;
}
