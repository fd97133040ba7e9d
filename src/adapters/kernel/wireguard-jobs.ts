/** What WireGuard's adapter asks of the kernel, done by the kernel's thread. */
import type { KernelThread } from './kernel-thread.ts';
import type { PlaceStep } from './wireguard-place.ts';

export function wireguardJobs(thread: Pick<KernelThread, 'ask'>) {
  return {
    hasModule: (signal?: AbortSignal) => thread.ask('wireguardModule', undefined, signal),
    look: (signal?: AbortSignal) => thread.ask('wireguardLook', undefined, signal),
    carryOut: (steps: readonly PlaceStep[], signal?: AbortSignal) => thread.ask('wireguardSteps', steps, signal),
  };
}
