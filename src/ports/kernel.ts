/** The kernel: what it is asked and told, and what it tells. */
import type { ApplyResult, NamespaceState, Observed, Plan, Scope } from '../core/host-state.ts';
import type { KernelChange } from '../core/kernel-change.ts';
import type { NetworkTables } from '../core/packet-filter.ts';

/**
 * The kernel of this host. `observe` and `apply` throw `data-path-failed` (retryable) or `tool-missing`; what fails
 * of a plan's single ops is in the result.
 */
export interface Kernel {
  observe(scope: Scope, signal?: AbortSignal): Promise<Observed>;
  apply(plan: Plan, signal?: AbortSignal): Promise<ApplyResult>;
  /** Goes on until the signal aborts; begins with `all`, and says `all` again whenever events may have been lost. */
  changes(signal: AbortSignal): AsyncIterable<KernelChange>;
  /**
   * Our tables inside network namespaces, where nftables changes come as no event. Cheap for
   * those that nobody changed since the last call. May leave some out that are told in a later call.
   */
  filters(namespaces: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, NetworkTables>>;
  /** What a container is looked into for, in the namespace of that path. Throws `namespace-unusable`. */
  inside(path: string): Promise<NamespaceState>;
}
