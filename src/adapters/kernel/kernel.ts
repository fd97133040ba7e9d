import type { ContainerRef } from '../../core/container.ts';
import type { Clock, Kernel } from '../../ports.ts';
import { apply } from './apply.ts';
import type { Exec } from './exec.ts';
import { changes } from './monitor.ts';
import { NetworkFilters } from './network-filters.ts';
import { inside, type LookedAt, listFilter, observe } from './observe.ts';

export interface KernelDeps {
  readonly exec: Exec;
  readonly clock: Clock;
  readonly isAlive: (container: ContainerRef) => Promise<boolean>;
  /** Somebody else changed nftables' rules of the host, be it by iptables; heard while changes are followed. */
  readonly onFirewallChange?: () => void;
}

/** The kernel of the network namespace that `exec` runs in, through iproute2 and nftables. */
export function createKernel({ exec, clock, isAlive, onFirewallChange }: KernelDeps): Kernel {
  const { run } = exec;
  const deps = { run, isAlive, lookedAt: new Map<string, LookedAt>() };
  const filters = new NetworkFilters(run, (name, signal) => listFilter(run, name, 'bridge', signal));
  return {
    observe: (scope, signal) => observe(deps, scope, signal),
    apply(plan, signal) {
      for (const { op } of plan.stages.flatMap(({ ops }) => ops)) {
        if (op.kind === 'delete-namespace') deps.lookedAt.delete(op.name);
        if (op.kind === 'delete-namespace' || op.kind === 'add-namespace') filters.forget(op.name);
      }
      return apply(run, plan, signal);
    },
    changes: (signal) => changes({ exec, clock, onFirewallChange }, signal),
    filters: (namespaces, signal) => filters.look(namespaces, signal),
    inside: (path) => inside(run, path),
  };
}
