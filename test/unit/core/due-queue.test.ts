import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DueQueue } from '../../../src/core/due-queue.ts';

const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), item: fc.nat(20), at: fc.nat(50) }),
  fc.record({ kind: fc.constant('delete' as const), item: fc.nat(20) }),
  fc.record({ kind: fc.constant('take' as const), now: fc.nat(50) }),
);

test('it is what a sorted list is', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new DueQueue<number>();
      let list: { item: number; at: number }[] = [];
      for (const each of steps) {
        if (each.kind !== 'take') list = list.filter(({ item }) => item !== each.item);
        if (each.kind === 'put') {
          queue.put(each.item, each.at);
          list.push(each);
        } else if (each.kind === 'delete') queue.delete(each.item);
        else {
          const first = list.filter(({ at }) => at <= each.now).toSorted((a, b) => a.at - b.at)[0];
          expect(queue.take(each.now)).toBe(first?.item);
          list = list.filter((other) => other !== first);
        }
        expect(queue.firstAt).toBe(list.toSorted((a, b) => a.at - b.at)[0]?.at);
      }
      for (const { item } of list.toSorted((a, b) => a.at - b.at)) expect(queue.take(50)).toBe(item);
      expect(queue.take(50)).toBeUndefined();
    }),
  );
});
