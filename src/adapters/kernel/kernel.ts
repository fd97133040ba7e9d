import type { ContainerRef } from '../../core/container.ts';
import type { Clock, Kernel } from '../../ports.ts';
import { apply } from './apply.ts';
import type { Exec } from './exec.ts';
import { changes } from './monitor.ts';
import { inside, type LookedAt, observe, probe } from './observe.ts';

export interface KernelDeps {
  readonly exec: Exec;
  readonly clock: Clock;
  readonly isAlive: (container: ContainerRef) => Promise<boolean>;
}

/** The kernel of the network namespace that `exec` runs in, through iproute2 and nftables. */
export function createKernel({ exec, clock, isAlive }: KernelDeps): Kernel {
  const { run } = exec;
  const deps = { run, isAlive, lookedAt: new Map<string, LookedAt>() };
  return {
    observe: (scope, signal) => observe(deps, scope, signal),
    apply(plan, signal) {
      for (const { op } of plan.stages.flatMap(({ ops }) => ops)) {
        if (op.kind === 'delete-namespace') deps.lookedAt.delete(op.name);
      }
      return apply(run, plan, signal);
    },
    changes: (signal) => changes(exec, clock, signal),
    probe: (namespaces, signal) => probe(deps, namespaces, signal),
    inside: (path) => inside(run, path),
  };
}
