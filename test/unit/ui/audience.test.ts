import { expect, it } from 'vitest';
import { Audience } from '../../../src/ui/audience.ts';

function audience() {
  const begun: AbortSignal[] = [];
  const made = new Audience<number>(async (signal) => {
    begun.push(signal);
  });
  return { begun, made };
}

it('has something done from the first who comes until the last who goes, and again', () => {
  const { begun, made } = audience();
  const [one, two] = [new AbortController(), new AbortController()];
  const told: string[] = [];
  made.join((number) => told.push(`one ${number}`), one.signal);
  made.join((number) => told.push(`two ${number}`), two.signal);
  made.tell(1);
  one.abort();
  made.tell(2);
  expect([told, begun.length, begun[0]!.aborted]).toEqual([['one 1', 'two 1', 'two 2'], 1, false]);
  two.abort();
  expect([made.isThere, begun[0]!.aborted]).toEqual([false, true]);
  made.join(() => undefined, new AbortController().signal);
  expect([begun.length, begun[1]!.aborted]).toEqual([2, false]);
});

it('does nothing for who has gone before it came', () => {
  const { begun, made } = audience();
  made.join(() => undefined, AbortSignal.abort());
  expect([made.isThere, begun.length]).toEqual([false, 0]);
});
