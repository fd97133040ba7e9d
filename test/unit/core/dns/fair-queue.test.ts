import { describe, expect, it } from 'vitest';
import { FAIR_QUEUE_LIMITS, FairQueue } from '../../../../src/core/dns/fair-queue.ts';

const LIMITS = { atOnce: 2, waiting: 4, waitingOfAll: 1_000, share: 4, perTurn: 3, perFloodedTurn: 1 };

/** Offers so many questions of a source; `a1`, `a2`, … are its items. */
function ask(queue: FairQueue<string>, source: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => queue.offer(source, `${source}${i + 1}`));
}

describe('who asks a few at a time', () => {
  it('is answered at once, however much others ask', () => {
    const queue = new FairQueue<string>(LIMITS);
    ask(queue, 'a', 100);
    expect(ask(queue, 'b', 2)).toEqual(['now', 'now']);
    queue.turn();
    expect(ask(queue, 'b', 2)).toEqual(['now', 'now']);
    expect(queue.turnDue).toBe(true);
  });
});

describe('who asks more', () => {
  it('loses nothing of what may wait, and gets it in order', () => {
    const queue = new FairQueue<string>(LIMITS);
    expect(ask(queue, 'a', 6)).toEqual(['now', 'now', 'later', 'later', 'later', 'later']);
    expect([queue.turn(), queue.turn(), queue.turnDue]).toEqual([['a3', 'a4', 'a5'], ['a6'], false]);
    expect(queue.turn()).toEqual([]);
    expect(ask(queue, 'a', 2)).toEqual(['now', 'now']);
  });

  it('takes turns with the others', () => {
    const queue = new FairQueue<string>(LIMITS);
    ask(queue, 'a', 6);
    ask(queue, 'b', 5);
    ask(queue, 'c', 3);
    const turns = [queue.turn(), queue.turn(), queue.turn()];
    expect(turns).toEqual([
      ['a3', 'b3', 'c3'],
      ['a4', 'b4', 'a5'],
      ['b5', 'a6'],
    ]);
  });

  it('does not pass what waits already', () => {
    const queue = new FairQueue<string>(LIMITS);
    ask(queue, 'a', 6);
    queue.turn();
    expect(ask(queue, 'a', 4)).toEqual(['later', 'later', 'later', 'dropped']);
  });
});

it('a flood is dropped, and while it lasts fewer are answered in a turn', () => {
  const queue = new FairQueue<string>(LIMITS);
  expect(ask(queue, 'a', 8).slice(6)).toEqual(['dropped', 'dropped']);
  expect(queue.turn()).toEqual(['a3']);
  expect(queue.turn()).toHaveLength(3);
});

// As many small datagrams as two MiB hold, which is what the kernel makes of the buffer that is asked for (socket(7)): 768 bytes each.
it('what one source has asked while nobody read, over a hand-over, is all answered', () => {
  const queue = new FairQueue<number>(FAIR_QUEUE_LIMITS);
  const waited = Math.floor((2 << 20) / 768);
  const answered: number[] = [];
  for (let read = 0; read < waited || queue.turnDue; answered.push(...queue.turn())) {
    for (const end = Math.min(read + 32, waited); read < end; read++) {
      if (queue.offer('a', read) === 'now') answered.push(read);
    }
  }
  expect(answered).toEqual(Array.from({ length: waited }, (_, each) => each));
});

it('while many wait of all sources each has room for fewer', () => {
  const queue = new FairQueue<string>({ ...LIMITS, waiting: 6, waitingOfAll: 8, share: 3 });
  expect(ask(queue, 'a', 9).slice(7)).toEqual(['later', 'dropped']);
  expect(ask(queue, 'b', 6).slice(2)).toEqual(['later', 'later', 'later', 'dropped']);
  expect(ask(queue, 'c', 6).slice(2)).toEqual(['later', 'later', 'later', 'dropped']);
  while (queue.turnDue) queue.turn();
  expect(ask(queue, 'b', 9).slice(7)).toEqual(['later', 'dropped']);
});

it('sources without end are forgotten', () => {
  const queue = new FairQueue<string>(LIMITS);
  for (let i = 0; i < 1_024; i++) ask(queue, `s${i}`, 1);
  expect(queue.turnDue).toBe(false);
  ask(queue, 'one more', 1);
  expect(queue.turnDue).toBe(true);
  expect([queue.turn(), queue.turnDue]).toEqual([[], false]);
});

it('what waited long in a long queue is not kept', () => {
  const queue = new FairQueue<number>({ ...LIMITS, waiting: 256 });
  const taken: number[] = [];
  for (let i = 0; i < 5_000; i++) {
    if (queue.offer('a', i) === 'now') taken.push(i);
    if (i % 3 === 2) taken.push(...queue.turn());
  }
  while (queue.turnDue) taken.push(...queue.turn());
  expect(taken).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
});
