import { expect, it } from 'vitest';
import { Gate, sourceOf } from '../../../src/core/gate.ts';

const LIMITS = { perSource: 3, total: 5, credit: 4, creditPerSecond: 2 };

it('lets in so many of one source at once, and so many of all', () => {
  const gate = new Gate(LIMITS);
  const entered = ['a', 'a', 'a', 'a', 'b', 'b', 'b', 'c'].map((source) => gate.enter(source, 0));
  expect(entered).toEqual([true, true, true, false, true, true, false, false]);
  gate.leave('a');
  expect(gate.enter('c', 0)).toBe(true);
  expect(gate.enter('c', 0)).toBe(false);
});

it('a source that comes again and again waits for its credit, and others do not', () => {
  const gate = new Gate(LIMITS);
  const visit = (source: string, now: number) => {
    const entered = gate.enter(source, now);
    if (entered) gate.leave(source);
    return entered;
  };
  expect([1, 2, 3, 4, 5].map(() => visit('a', 0))).toEqual([true, true, true, true, false]);
  expect(visit('b', 0)).toBe(true);
  expect([visit('a', 499), visit('a', 500), visit('a', 501)]).toEqual([false, true, false]);
  // Never more than the most, however long it was away; and a clock that goes back gives nothing.
  expect([1, 2, 3, 4, 5].map(() => visit('a', 3_600_000))).toEqual([true, true, true, true, false]);
  expect(visit('a', 0)).toBe(false);
});

it('what a source did can use its credit up at once', () => {
  const gate = new Gate(LIMITS);
  expect(gate.charge('a', 2, 0)).toBe(true);
  expect(gate.charge('a', 20, 0)).toBe(false);
  expect(gate.enter('a', 400)).toBe(false);
  expect(gate.enter('a', 600)).toBe(true);
});

it('who has proved who it is gets back what it cost, and room that others do not take up', () => {
  const gate = new Gate({ ...LIMITS, total: 40, reserved: 10 });
  for (let i = 0; i < 20; i++) {
    expect(gate.enter('member', 0)).toBe(true);
    gate.prove('member', 0);
  }
  const come = (count: number, source: string, now = 0) =>
    Array.from({ length: count }, () => gate.enter(source, now)).filter((isIn) => isIn).length;
  // Strangers have what is not reserved.
  const strangers = Array.from({ length: 40 }, (_, i) => come(1, `stranger${i}`)).reduce((sum, n) => sum + n, 0);
  expect(strangers).toBe(30);
  expect(come(4, 'member', 1_000)).toBe(4);
  expect(come(20, 'member', 10_000)).toBe(4);
  // An hour later it is one as others.
  expect(come(1, 'member', 3_600_000)).toBe(0);
});

it('leaving without having come changes nothing, and sources without end are not all remembered', () => {
  const gate = new Gate(LIMITS);
  gate.leave('x');
  for (let i = 0; i < 5; i++) expect(gate.enter(`in${i}`, 0)).toBe(true);
  for (let i = 0; i < 10_000; i++) gate.charge(`out${i}`, 4, 0);
  expect(gate.charge('out0', 0, 0)).toBe(true);
  expect(gate.charge('out9999', 0, 0)).toBe(false);
  gate.leave('in0');
  expect(gate.enter('other', 0)).toBe(true);
  expect(gate.enter('other', 0)).toBe(false);
});

it('a source of IPv6 is the subnet that a host takes its addresses of', () => {
  expect(sourceOf('192.0.2.1', 64)).toBe('192.0.2.1');
  expect(sourceOf('2001:db8:0:1:9c3f::7', 64)).toBe('2001:db8:0:1::/64');
  expect(sourceOf('2001:db8:0:1::1', 64)).toBe(sourceOf('2001:db8:0:1:ffff::2', 64));
  expect(sourceOf('2001:db8:0:2::1', 64)).not.toBe(sourceOf('2001:db8:0:1::1', 64));
  expect(sourceOf('2001:db8::1', 128)).toBe('2001:db8::1/128');
});
