import { planClear } from '../../core/plan.ts';
import type { Kernel } from '../../ports/kernel.ts';

/** Takes everything of overlayd out of the host's kernel. Throws the first cause of what could not be removed. */
export async function clearHost(kernel: Kernel): Promise<void> {
  const { namespaces } = await kernel.observe({ host: true, networks: [], containers: [], ports: [] });
  const scope = { host: true, networks: [...(namespaces?.keys() ?? [])], containers: [], ports: [] };
  const { failures } = await kernel.apply(planClear(await kernel.observe(scope)));
  if (failures[0]) throw failures[0].error;
}
