import { expect, it } from 'vitest';
import { Batch } from '../../../../src/adapters/kernel/batch.ts';
import type { LinkMessage } from '../../../../src/adapters/netlink/link.ts';
import type { Outcome } from '../../../../src/adapters/netlink/socket.ts';

const mac = '02:42:0a:00:00:01';
const rows = (link: string, count: number) => ({
  kind: 'set-neighbour' as const,
  link,
  addresses: Array.from({ length: count }, (_, at) => `10.0.${at >> 8}.${at & 255}`),
  macs: Array.from({ length: count }, () => mac),
});

/** A socket that breaks when it is first asked for something to be done, as when no answer comes. */
function broken() {
  return {
    request(): Outcome[] {
      throw new Error('no answer');
    },
    get: () => ({ index: 7 }) as LinkMessage as never,
    dump: () => [],
  };
}

it('of a socket that breaks in the midst, nothing that waited to be sent counts as done', () => {
  const batch = new Batch(broken());
  batch.add(rows('vx0', 3), 0);
  // Its link has to be asked for, and so what waits goes first.
  batch.add(rows('br0', 2), 3);
  batch.flush();
  expect([...batch.failures.keys()].sort()).toEqual([0, 1, 2, 3, 4]);
});

it('nor of more than are kept', () => {
  const batch = new Batch(broken());
  batch.add(rows('vx0', 1_200), 0);
  batch.flush();
  expect(batch.failures.size).toBe(1_200);
});
