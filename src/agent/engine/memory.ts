/** What this host must know of its engine without asking it; see `networks.ts`. */
import type { Binding } from '../../core/engine/network-offers.ts';

export interface EngineMemory {
  readonly version: 1;
  /** By the engine's network id. */
  readonly networks: Readonly<Record<string, Binding>>;
}

const ORIGINS: readonly unknown[] = ['offered', 'created', 'bound'] satisfies Binding['origin'][];

/** Throws with what is wrong. */
export function parseEngineMemory(value: unknown): EngineMemory {
  const { version, networks } = (value ?? {}) as Partial<Record<keyof EngineMemory, unknown>>;
  if (version !== 1) throw new Error(`its version is ${String(version)}, this overlayd knows version 1`);
  if (typeof networks !== 'object' || networks === null) throw new Error('networks is not an object');
  for (const [id, binding] of Object.entries(networks as Record<string, Partial<Binding>>)) {
    const pool = [binding?.pool, binding?.pool6].every((each) => ['string', 'undefined'].includes(typeof each));
    const mark = [true, undefined].includes(binding?.withdrawn);
    if (typeof binding?.networkId !== 'string' || !ORIGINS.includes(binding.origin) || !pool || !mark) {
      throw new Error(`networks.${id} is not a binding`);
    }
  }
  return { version, networks: networks as EngineMemory['networks'] };
}
