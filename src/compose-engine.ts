/** What containers of an engine need of the host's own filters. */
import { allowForwarding } from './adapters/docker/forwarding.ts';
import { missingTranslation } from './adapters/docker/translation.ts';
import type { Exec } from './adapters/exec.ts';
import type { RoutingQuestion } from './adapters/kernel/host-routing.ts';
import type { KernelThread } from './adapters/kernel/kernel-thread.ts';
import type { ClusterView } from './core/cluster-view.ts';
import { hasFamily } from './core/subnets.ts';

/** Of those families that the cluster's networks have. */
export function allowForwardingOf(
  networks: ReturnType<ClusterView['networks']>,
  { exec, thread }: { readonly exec: Exec; readonly thread: KernelThread },
): ReturnType<typeof allowForwarding> {
  const ipv6 = [...networks].some((network) => hasFamily(network, 6));
  return allowForwarding(exec.run, ipv6, () => {
    const routing = (question: RoutingQuestion) => thread.ask('routing', question);
    const ruleset = () => thread.ask('rules', { command: 'list ruleset' });
    return missingTranslation({ run: exec.run, routing, ruleset });
  });
}
