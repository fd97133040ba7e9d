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

/** By the names of its tables and chains; one of those that are likely to be in the way. */
export async function findFirewall(thread: Thread, run: Run, signal?: AbortSignal): Promise<Firewall | undefined> {
  const chains = (await thread.ask('rules', { command: 'list chains' }, signal)) ?? '';
  if (/^table inet firewalld /m.test(chains)) return 'firewalld';
  if (/^\s*chain ufw-/m.test(chains)) return 'ufw';
  // As it leaves the chain of iptables on nftables.
  if (/hook forward priority filter; policy drop;/.test(chains) && /^\s*chain DOCKER/m.test(chains)) return 'docker';
  const output = async (...argv: readonly string[]) =>
    (await run(argv, { signal }).catch(() => undefined))?.stdout ?? '';
  // To list what is not there would make its tables.
  if ((await output('cat', '/proc/net/ip_tables_names')).trim() === '') return undefined;
  const rules = (await output('iptables-legacy', '-S')) || (await output('iptables', '-S'));
  if (/^-N ufw-/m.test(rules)) return 'ufw';
  if (/^-P FORWARD DROP$/m.test(rules) && /^-N DOCKER/m.test(rules)) return 'docker';
  return /^-P \w+ DROP$|^-A (?:INPUT|FORWARD) .*-j (?:DROP|REJECT)/m.test(rules) ? 'iptables-legacy' : undefined;
}
