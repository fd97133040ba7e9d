/** The real kernel adapter, acting in a host of the lab from the outside. */
import { stat } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { createExec, type Exec } from '../../../src/adapters/exec.ts';
import { createKernel } from '../../../src/adapters/kernel/kernel.ts';
import { KernelThread } from '../../../src/adapters/kernel/kernel-thread.ts';
import { createContainers } from '../../../src/adapters/system/containers.ts';
import type { Host } from '../../lab/host.ts';

/** Bundled, where the processor is emulated (`test/kernel/bundle.ts`): from its source each thread takes half a minute to start. */
export const workerPath =
  process.env.TEST_KERNEL_WORKER ??
  fileURLToPath(new URL('../../../src/adapters/kernel/kernel-worker.ts', import.meta.url));

/** The processor may be emulated: nothing but what hangs takes that long. */
const LIMIT_MS = 240_000;

// Whoever asks libuv's pool first starts its threads, with the mounts of its own: it must not be a thread that is in a host.
stat('/', () => undefined);

const { run } = createExec();

/** By the process that holds the host. */
const threads = new Map<number, KernelThread>();
afterAll(() => Promise.all([...threads.values()].map((thread) => thread.close())));

export function openKernel(host: Host) {
  // To enter a process namespace nsenter forks; what it started has to end with it.
  const inside = (argv: readonly string[]) => host.enter(['setpriv', '--pdeathsig', 'KILL', '--', ...argv]);
  const exec: Exec = { run: (argv, options) => run(inside(argv), options) };
  const containers = createContainers({ root: host.path(''), hostNamespace: `/proc/${host.pid}/ns/net` });
  const thread = threads.get(host.pid) ?? new KernelThread({ workerPath, hostPid: host.pid, limitMs: LIMIT_MS });
  threads.set(host.pid, thread);
  const kernel = createKernel({ thread, isAlive: containers.isAlive, hostPid: host.pid });
  return { exec, thread, containers, kernel };
}
