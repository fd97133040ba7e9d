import type { ClusterView } from '../../core/cluster-view.ts';
import type { AgentVersion } from '../../core/levels.ts';
import { PREFIX } from '../../core/records.ts';

const MOST_NAMED = 5;

/** In words: which records of etcd this agent cannot read, and what to do. */
export function unreadableProblems({ unreadable }: Pick<ClusterView, 'unreadable'>, agent: AgentVersion): string[] {
  if (unreadable.size === 0) return [];
  const named = [...unreadable.keys()].slice(0, MOST_NAMED).join(', ');
  const more = unreadable.size > MOST_NAMED ? ` and ${unreadable.size - MOST_NAMED} more` : '';
  const what = unreadable.size === 1 ? 'a record of etcd' : `${unreadable.size} records of etcd`;
  return [
    `overlayd ${agent.version} on this host cannot read ${what} (${named}${more}): left alone, what was known before stands. A newer overlayd may have written it: upgrade this host. If no host runs a newer one, something else writes below ${PREFIX}: see \`etcdctl get KEY\`, and put back what was there`,
  ];
}
