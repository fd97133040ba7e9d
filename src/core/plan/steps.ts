import type { Op, PlannedOp, Stage } from '../host-state.ts';

/**
 * The order of a plan. What is wrong or unwanted goes first, so that its names are free. The host's filter is next, no
 * device is up before it, and with it new namespaces, whose ids have to be right before anything is in them; then their filters,
 * before anything is connected there. Then
 * devices are made in their namespaces, set up there, and last come the rows and the containers, which need both. What
 * left traces in the host is forgotten when nothing can leave new ones.
 */
const ORDER = ['unlink', 'discard', 'guard', 'shield', 'make', 'set-up', 'connect', 'forget'] as const;

export type Step = (typeof ORDER)[number];

/** On whose behalf something is planned. */
export interface Owner {
  readonly network: string | undefined;
  readonly endpointId: string | undefined;
}

export const HOST_OWNER: Owner = { network: undefined, endpointId: undefined };

/** Collects a plan's ops. */
export class Steps {
  readonly #ops = new Map<Step, PlannedOp[]>(ORDER.map((step) => [step, []]));
  readonly #networks = new Set<string | undefined>();

  add(step: Step, owner: Owner, reason: PlannedOp['reason'], ...ops: readonly Op[]): void {
    for (const op of ops) this.#ops.get(step)?.push({ op, reason, ...owner });
    if (ops.length > 0) this.#networks.add(owner.network);
  }

  /** Whether anything is to be done for the network with that namespace. */
  has(network: string): boolean {
    return this.#networks.has(network);
  }

  stages(): Stage[] {
    const of = (step: Step) => this.#ops.get(step) ?? [];
    const makes = ORDER.some((step) => of(step).some(({ op }) => op.kind.startsWith('add-')));
    if (!makes && of('discard').length === 0) {
      // Nothing waits for a name: what goes, goes along with the rest. Rows wait for their links alone.
      const links = of('set-up').some(({ op }) => op.kind === 'set-link' || op.kind === 'set-port');
      this.#ops.set('set-up', [...of('unlink'), ...of('set-up'), ...(links ? [] : of('connect'))]);
      this.#ops.set('unlink', []);
      if (!links) this.#ops.set('connect', []);
    }
    return ORDER.flatMap((step) =>
      of(step).length === 0 ? [] : [{ essential: step === 'guard' || step === 'shield', ops: of(step) }],
    );
  }
}
