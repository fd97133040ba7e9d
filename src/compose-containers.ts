/** Containers of this host by whatever name people give them, and whom that takes. */
import type { Exec } from './adapters/exec.ts';
import { createIncus } from './adapters/incus/incus.ts';
import { createContainers } from './adapters/system/containers.ts';
import { lxcInitOf } from './adapters/system/lxc.ts';
import { leaderOf } from './adapters/system/machines.ts';
import { IncusSide, type IncusSideDeps } from './agent/incus/incus-side.ts';
import type { Config } from './core/config/option.ts';
import type { Clock } from './ports/runtime.ts';

export function composeContainers(
  { incusSocket }: Pick<Config, 'incusSocket'>,
  { exec, clock }: { readonly exec: Exec; readonly clock: Clock },
) {
  const incus = createIncus({ clock }, { socketPath: incusSocket });
  const tools = {
    machine: { processOf: (name: string) => leaderOf(exec.run, name) },
    lxc: { processOf: (name: string) => lxcInitOf(exec.run, name) },
    incus,
  };
  const containers = createContainers({ tools });
  const incusSideOf = (deps: Omit<IncusSideDeps, 'incus' | 'containers'>) =>
    new IncusSide({ ...deps, incus, containers });
  return { containers, incusSideOf };
}
