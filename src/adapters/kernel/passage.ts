/** Reads what `core/firewall.ts` counts by, and which firewall is there. */
import type { Firewall, Passage } from '../../core/firewall.ts';
import { TABLE } from '../../core/host-state.ts';
import type { Run } from './exec.ts';
import { parsePassage } from './nftables.ts';

/** Undefined while our table is not there. */
export async function readPassage(run: Run, signal?: AbortSignal): Promise<Passage | undefined> {
  const { code, stdout } = await run(['nft', '-j', 'list', 'table', 'inet', TABLE], { signal });
  return code === 0 ? parsePassage(stdout) : undefined;
}

/** By the names of its tables and chains. */
export async function findFirewall(run: Run, signal?: AbortSignal): Promise<Firewall | undefined> {
  const { stdout } = await run(['nft', 'list', 'chains'], { signal, large: true });
  if (/^table inet firewalld /m.test(stdout)) return 'firewalld';
  if (/^\s*chain ufw-/m.test(stdout)) return 'ufw';
  // On hosts whose iptables is the one that is not on nftables.
  const legacy = await run(['iptables', '-S'], { signal }).catch(() => undefined);
  return legacy && /^-N ufw-/m.test(legacy.stdout) ? 'ufw' : undefined;
}
