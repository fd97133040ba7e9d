import { describe, expect, it } from 'vitest';
import { closedDoors, keepKnocking } from '../../../../src/agent/cluster/knocking.ts';
import type { Liveness } from '../../../../src/core/failure-detector.ts';
import { World } from '../../../contract/kernel-world.ts';

function cluster(count: number, silent: readonly string[], storeConnected = true) {
  const world = new World('h1');
  for (let number = 1; number <= count; number++) world.addNode(`h${number}`, `10.77.0.${number}`);
  const liveness = (nodeId: string): Liveness => (silent.includes(nodeId) ? 'down' : 'ready');
  return { world, member: { view: world, self: world.self, storeConnected, liveness } };
}

/** Calls of so many intervals. */
async function knocks(deps: Pick<Parameters<typeof keepKnocking>[0], 'member' | 'storeHosts'>, intervals: number) {
  const quit = new AbortController();
  const seen: string[][] = [[]];
  const clock = {
    sleep: async () => {
      if (seen.length >= intervals) quit.abort();
      else seen.push([]);
    },
  };
  const knock = async (host: string, port: number) => seen.at(-1)!.push(`${host}:${port}`);
  await keepKnocking({ ...deps, knock, clock }, quit.signal);
  return seen;
}

describe('calling where this host may not be known', () => {
  it('leaves alone who is heard, and who left', () => {
    const { world, member } = cluster(3, ['h3']);
    world.addNode('h3', '10.77.0.3', { left: true });
    expect(closedDoors({ member, storeHosts: () => ['10.77.0.2'] } as never)).toEqual([]);
  });

  it('calls the silent ones, and the host of etcd while that does not answer', async () => {
    const { world, member } = cluster(3, ['h2'], false);
    world.addNode('h3', '10.77.0.3', { joinPort: 2378 });
    const deps = { member, storeHosts: () => ['10.77.0.1', '10.77.0.3', '10.77.0.9'] };
    expect(await knocks(deps, 1)).toEqual([['10.77.0.2:2377', '10.77.0.3:2378', '10.77.0.9:2377']]);
  });

  it('calls a few at a time, each in its turn', async () => {
    const others = Array.from({ length: 19 }, (_, index) => `h${index + 2}`);
    const rounds = await knocks({ ...cluster(20, others), storeHosts: () => [] }, 5);
    expect(rounds.map(({ length }) => length)).toEqual([8, 8, 8, 8, 8]);
    expect(new Set(rounds.flat()).size).toBe(19);
  });
});
