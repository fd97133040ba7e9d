import { describe, expect, it } from 'vitest';
import { SeenNetworks } from '../../../src/agent/seen-networks.ts';
import type { NamespaceState, Observed, Plan } from '../../../src/core/host-state.ts';

const state = { links: new Map() } as unknown as NamespaceState;
const scope = { host: false, networks: ['ovl-1'], containers: [], ports: [] };
const observed: Observed = {
  namespaces: undefined,
  host: undefined,
  networks: new Map([['ovl-1', state]]),
  containers: new Map(),
};
const nothing: Plan = { stages: [], gone: [] };

describe('what a quiet pass saw', () => {
  it('saves the next observation', () => {
    const seen = new SeenNetworks();
    seen.settle(observed, nothing, seen.recall(scope).moment);
    const { known, rest } = seen.recall(scope);
    expect([...known.keys()]).toEqual(['ovl-1']);
    expect(rest.networks).toEqual([]);
  });

  it.each([
    ['an event of the network', (seen: SeenNetworks) => seen.forget('ovl-1')],
    ['lost events', (seen: SeenNetworks) => seen.forgetAll()],
  ])('is not kept when %s came while it looked', (_, happen) => {
    const seen = new SeenNetworks();
    const { moment } = seen.recall(scope);
    happen(seen);
    seen.settle(observed, nothing, moment);
    expect(seen.recall(scope).known.size).toBe(0);
  });
});
