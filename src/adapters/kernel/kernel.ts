import type { ContainerRef } from '../../core/container.ts';
import type { NetworkTables } from '../../core/packet-filter.ts';
import type { Kernel } from '../../ports/kernel.ts';
import { apply } from './apply.ts';
import type { KernelThread } from './kernel-thread.ts';
import { KernelMonitor } from './monitor.ts';
import { Observer } from './observe.ts';

export interface KernelDeps {
  readonly thread: Pick<KernelThread, 'ask'>;
  readonly isAlive: (container: ContainerRef) => Promise<boolean>;
  /** Somebody else changed nftables' rules of the host, be it by iptables; heard while changes are followed. */
  readonly onFirewallChange?: () => void;
  /** A process of the host that is acted upon; undefined: this host. */
  readonly hostPid?: number;
}

/** The kernel of the host that `thread` acts upon, through netlink and libnftables. */
export function createKernel({ thread, isAlive, onFirewallChange, hostPid }: KernelDeps): Kernel {
  const uplinks = () => thread.ask('uplinks', undefined);
  const monitor = new KernelMonitor({ hostPid, onFirewallChange, uplinks });
  const observer = new Observer({ thread, isAlive, onInsides: (insides) => monitor.follow(insides) });
  const filters = new Map<string, { readonly generation: string; readonly tables: NetworkTables }>();
  let isFirst = true;
  return {
    async observe(scope, signal) {
      try {
        return await observer.observe(scope, signal);
      } finally {
        // Beside all else that a start does: the kernel goes through its table in a thread of libuv's.
        if (isFirst) void thread.ask('listFlows', undefined).catch(() => undefined);
        isFirst = false;
      }
    },
    async apply(plan, signal) {
      for (const { op } of plan.stages.flatMap(({ ops }) => ops)) {
        if (op.kind !== 'delete-namespace' && op.kind !== 'add-namespace') continue;
        observer.forget(op.name);
        // Another one may have its number, and as many changes.
        filters.delete(op.name);
      }
      const quiet = monitor.echoing(plan);
      try {
        return await apply(thread, plan, signal);
      } finally {
        await quiet();
      }
    },
    changes: (signal) => monitor.changes(signal),
    async filters(namespaces, signal) {
      for (const name of filters.keys()) if (!namespaces.includes(name)) filters.delete(name);
      const questions = namespaces.map((name) => ({ name, known: filters.get(name)?.generation }));
      const answers = await thread.ask('filters', questions, signal);
      return new Map(
        namespaces.map((name, at) => {
          const { generation, tables = filters.get(name)!.tables } = answers[at]!;
          if (generation === undefined) filters.delete(name);
          else filters.set(name, { generation, tables });
          return [name, tables];
        }),
      );
    },
    inside: (path) => observer.inside(path),
  };
}
