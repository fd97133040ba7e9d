import { expect, it } from 'vitest';
import { passageOf } from '../../../../src/adapters/kernel/counters.ts';

const rule = (chain: string, packets: number, drops = false) => ({ table: 'overlayd', chain, packets, drops });
const PLAIN = [rule('input', 2), rule('admitted', 3), rule('forward', 5), rule('passed', 6)];

it('of what passes nothing is counted that is dropped before', () => {
  const rules = [
    rule('input', 1, true),
    rule('input', 2),
    rule('admitted', 3),
    rule('forward', 4, true),
    rule('forward', 8),
    rule('forward', 5),
    rule('passed', 6),
    rule('passed', 9),
  ];
  expect(passageOf(rules, [{ address: '192.0.2.9', packets: 7 }])).toEqual({
    data: { before: 2, after: 3 },
    out: { before: 5, after: 6 },
    in: { before: 8, after: 9 },
    strays: new Map([['192.0.2.9', 7]]),
  });
});

it('a table of a release that does not count what is published lets all of it pass', () => {
  expect(passageOf(PLAIN, [])?.in).toEqual({ before: 0, after: 0 });
});

it.each(['input', 'admitted', 'forward', 'passed'])('without the rule of %s that counts nothing is known', (chain) => {
  expect(
    passageOf(
      PLAIN.filter((each) => each.chain !== chain),
      [],
    ),
  ).toBeUndefined();
});
