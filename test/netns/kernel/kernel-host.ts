/** The real kernel adapter, acting in a host of the lab from the outside. */
import { createExec } from '../../../src/adapters/kernel/exec.ts';
import { createKernel } from '../../../src/adapters/kernel/kernel.ts';
import { createContainers } from '../../../src/adapters/system/containers.ts';
import { systemClock } from '../../../src/adapters/system/time.ts';
import type { Host } from '../../lab/host.ts';

export function openKernel(host: Host) {
  // To enter a process namespace nsenter forks; what it started has to end with it.
  const exec = createExec({ prefix: [...host.enter(['setpriv', '--pdeathsig', 'KILL', '--'])] });
  const containers = createContainers({ root: host.path(''), hostNamespace: `/proc/${host.pid}/ns/net` });
  const kernel = createKernel({ exec, clock: systemClock, isAlive: containers.isAlive });
  return { exec, containers, kernel };
}
