import { formLabCluster } from '../lab/cluster.ts';
import type { Lab } from '../lab/lab.ts';

/**
 * A cluster over all hosts of which the first keeps the store alone: revisions that are compared do the same work, and not all
 * of them can have more keepers. On one disk three of them write everything three times.
 */
export async function formWithOneKeeper(lab: Lab, initArguments: readonly string[] = []): Promise<void> {
  const { stdout } = await lab.host(1).overlayd('init', '--help');
  const alone = stdout.includes('--store-members') ? ['--store-members', '1'] : [];
  await formLabCluster(lab, [...alone, ...initArguments]);
}
