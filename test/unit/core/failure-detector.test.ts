import { describe, expect, it } from 'vitest';
import type { FailureDetector } from '../../../src/core/failure-detector.ts';
import type { MemberNews } from '../../../src/core/gossip/message.ts';
import { detector, INTERVAL, LIMIT, newsOfMember } from '../../fixtures/failure-detector.ts';

function alive(nodeId: string, incarnation = 1, startedAt = 5): MemberNews {
  return newsOfMember(nodeId, { incarnation, startedAt });
}

function accused(nodeId: string, accusers: readonly string[], incarnation = 1): MemberNews {
  return newsOfMember(nodeId, { incarnation, accusers });
}

/** Asks `silent` once per interval, and hears from `others`, until `intervals` of them are over; returns the time. */
function pass(made: FailureDetector, silent: readonly string[], others: readonly string[], intervals: number): number {
  let now = 0;
  for (let i = 1; i <= intervals; i++) {
    for (const id of silent) made.ask(id, now);
    now += INTERVAL;
    for (const id of others) made.heard(id, [], now);
    made.beat(0, now);
  }
  return now;
}

const newsOf = (made: FailureDetector, nodeId: string, to = 'a') =>
  made.news(to, LIMIT, 0).find((news) => news.nodeId === nodeId);

describe('failure detector', () => {
  it('accuses a member that was asked again and again and does not answer, and hides it when another one agrees', () => {
    const made = detector('a', 'b');
    const now = pass(made, ['b'], ['a'], 10);
    expect(newsOf(made, 'b')).toEqual(accused('b', ['self']));
    expect(made.liveness('b', false, now)).toBe('ready');
    made.heard('a', [accused('b', ['a'])], now);
    expect(made.liveness('b', false, now)).toBe('suspect');
    expect(made.suspects(now)).toEqual(['b']);
    expect(made.liveness('a', false, now)).toBe('ready');
  });

  it('waits for a refutation before it hides anybody', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'])], 0);
    expect(made.liveness('b', false, made.timeoutMs() - 1)).toBe('ready');
    expect(made.liveness('b', false, made.timeoutMs())).toBe('suspect');
  });

  it('does not accuse whom it has heard from since it asked', () => {
    const made = detector('a', 'b');
    for (let i = 0; i < 20; i++) {
      made.ask('b', i * INTERVAL);
      if (i % 3 === 0) made.heard('b', [], i * INTERVAL + 1);
      made.beat(0, i * INTERVAL + 2);
    }
    expect(newsOf(made, 'b')).toBeUndefined();
  });

  it('takes a refutation from anybody, and passes it on', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'])], 0);
    expect(made.liveness('b', false, 9_000)).toBe('suspect');
    made.heard('c', [alive('b', 2)], 9_000);
    expect(made.liveness('b', false, 9_000)).toBe('ready');
    expect(newsOf(made, 'b')).toEqual(alive('b', 2));
  });

  it('takes a new run of the agent for a refutation', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'], 7)], 0);
    made.heard('b', [alive('b', 1, 6)], 9_000);
    expect(made.liveness('b', false, 9_000)).toBe('ready');
  });

  it('ignores what was said of an earlier incarnation, and tells whoever still says it', () => {
    const made = detector('a', 'b', 'c');
    made.heard('b', [alive('b', 2)], 0);
    for (let i = 0; i < 50; i++) made.news('c', LIMIT, 0);
    expect(newsOf(made, 'b')).toBeUndefined();
    made.heard('a', [accused('b', ['a', 'c'])], 0);
    expect(made.liveness('b', false, 9_000)).toBe('ready');
    expect(newsOf(made, 'b')).toEqual(alive('b', 2));
  });

  it('refutes what it hears of itself', () => {
    const made = detector('a', 'b');
    expect(made.heard('a', [accused('self', ['b'])], 0)).toBe(true);
    expect(made.news('a', LIMIT, 0)[0]).toEqual(alive('self', 2));
    expect(made.heard('a', [accused('self', ['b'])], 0)).toBe(false);
  });

  it('tells an accused member so, whatever else there is to tell', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a'])], 0);
    for (let i = 0; i < 50; i++) made.news('c', LIMIT, 0);
    expect(made.news('b', 2, 0)).toEqual([alive('self'), accused('b', ['a'])]);
  });

  it('names only itself while there is no news', () => {
    const made = detector('a', 'b', 'c');
    expect(made.news('a', LIMIT, 0)).toEqual([alive('self')]);
  });

  it('repeats accusations for good, and other news so often only that all get it', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a']), alive('c', 2)], 0);
    expect(made.news('a', LIMIT, 0)).toHaveLength(3);
    for (let i = 0; i < 50; i++) made.news('a', LIMIT, 0);
    expect(made.news('a', LIMIT, 0)).toEqual([alive('self'), accused('b', ['a'])]);
  });

  it('does not go by one accuser, nor by accusers that are accused themselves', () => {
    const made = detector('a', 'b', 'c', 'd');
    made.heard('a', [accused('d', ['a'])], 0);
    expect(made.liveness('d', false, 60_000)).toBe('ready');
    made.heard('a', [accused('d', ['b'])], 0);
    expect(made.liveness('d', false, 60_000)).toBe('suspect');
    made.heard('a', [accused('b', ['c'])], 0);
    expect(made.liveness('d', false, 60_000)).toBe('ready');
  });

  it('with two members goes by its own asking', () => {
    const made = detector('a');
    expect(made.liveness('a', false, pass(made, ['a'], [], 10))).toBe('suspect');
  });

  it('accuses nobody when nobody answers: it is the one that is cut off', () => {
    const made = detector('a', 'b', 'c');
    const now = pass(made, ['a', 'b', 'c'], [], 30);
    expect(made.news('a', LIMIT, 0)).toEqual([alive('self')]);
    expect(made.liveness('a', false, now)).toBe('ready');
  });

  it('does not count the time in which it was late itself', () => {
    const made = detector('a', 'b', 'c');
    for (let i = 0; i < 5; i++) made.ask('b', 0);
    made.heard('a', [], 9_000);
    made.beat(8_000, 9_000);
    expect(newsOf(made, 'b')).toBeUndefined();
    expect(made.toAsk(8, 9_000)).toEqual(new Set(['b']));
  });

  it('waits longer while it runs late itself', () => {
    const made = detector('a', 'b');
    const before = made.timeoutMs();
    for (let i = 0; i < 10; i++) made.beat(5 * INTERVAL, 0);
    expect(made.timeoutMs()).toBe(before * 3);
    for (let i = 0; i < 10; i++) made.beat(0, 0);
    expect(made.timeoutMs()).toBe(before);
  });

  it("takes etcd's word as the second accuser, but not against a member that answers", () => {
    const made = detector('a', 'b', 'c');
    expect(made.liveness('a', true, 10)).toBe('ready');
    made.heard('b', [accused('a', ['b'])], 10);
    expect(made.liveness('a', true, 10)).toBe('ready');
    const now = 10 + made.timeoutMs();
    expect(made.liveness('a', true, now)).toBe('down');
    expect(made.liveness('a', false, now)).toBe('ready');
  });

  it('takes a member that it never met for down when etcd does not know it either', () => {
    const made = detector('a');
    made.track(['self', 'a', 'late']);
    expect(made.liveness('late', true, 0)).toBe('down');
    expect(made.liveness('late', false, 0)).toBe('ready');
  });

  it("takes etcd's word even when nobody else is left to hear from", () => {
    const made = detector('a', 'b');
    const now = pass(made, ['a', 'b'], [], 10);
    expect(made.liveness('a', true, now)).toBe('down');
    expect(made.liveness('a', false, now)).toBe('ready');
  });

  it('asks who is about to be hidden, so many at a time', () => {
    const names = Array.from({ length: 50 }, (_, i) => `n${i}`);
    const made = detector('a', 'b', 'c', ...names);
    made.heard('a', [accused('b', ['a']), accused('c', ['a'])], 0);
    expect(made.toAsk(8, 0).size).toBe(0);
    const before = made.timeoutMs() - INTERVAL;
    expect(made.toAsk(8, before)).toEqual(new Set(['b', 'c']));
    expect(made.toAsk(1, before).size).toBe(1);
    expect(made.toAsk(8, made.timeoutMs()).size).toBe(0);
  });

  it('asks who did not answer by turns, so many at a time', () => {
    const made = detector('a', 'b', 'c', 'd');
    for (const id of ['b', 'c', 'd']) made.ask(id, 0);
    expect(made.toAsk(2, INTERVAL)).toEqual(new Set(['b', 'c']));
    expect(made.toAsk(2, INTERVAL)).toEqual(new Set(['d', 'b']));
  });

  it('once it is no longer cut off, accuses nobody for what it missed', () => {
    const made = detector('a', 'b', 'c');
    let now = pass(made, ['a', 'b', 'c'], [], 30);
    made.heard('a', [], now);
    now += INTERVAL;
    made.beat(0, now);
    expect(made.news('a', LIMIT, 0)).toEqual([alive('self')]);
  });

  it('hides nobody while it is cut off', () => {
    const made = detector('a', 'b', 'c');
    made.beat(0, 0);
    made.heard('a', [accused('b', ['a', 'c'])], 0);
    for (let now = INTERVAL; now <= 30 * INTERVAL; now += INTERVAL) made.beat(0, now);
    // The first of the beats ended an interval in which it had heard from somebody.
    expect(made.suspects(30 * INTERVAL)).toEqual([]);
  });

  it('does not hide for what arrived while it was late', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'])], 0);
    made.beat(20_000, 20_500);
    expect(made.suspects(20_500)).toEqual([]);
  });

  it('goes on when the clock is set back', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'])], 10_000_000);
    made.beat(-9_000_000, 1_001_000);
    made.heard('a', [], 1_001_000);
    for (let i = 0; i < 9; i++) made.beat(0, 1_001_000);
    expect(made.suspects(1_001_000 + 2 * made.timeoutMs())).toEqual(['b']);
    expect(made.heardAgoMs('c', -1)).toBe(0);
  });

  it('counts an accuser once, however often a message names it', () => {
    const made = detector('a', 'b', 'c', 'd');
    made.heard('a', [accused('b', ['a', 'a', 'a']), accused('c', ['a', 'a', 'd'], 9)], 0);
    expect(newsOf(made, 'b')?.accusers).toEqual(['a']);
    expect(newsOf(made, 'c')?.accusers).toEqual(['a', 'd']);
    expect(made.suspects(60_000)).toEqual(['c']);
  });

  it('keeps and passes on three accusers at most', () => {
    const made = detector('a', 'b', 'c', 'd', 'e', 'f');
    const all = ['b', 'c', 'd', 'e', 'f'];
    made.heard('b', [accused('a', all)], 0);
    expect(newsOf(made, 'a')?.accusers).toHaveLength(3);
    made.heard('b', [accused('a', all, 2)], 0);
    expect(newsOf(made, 'a')).toEqual(accused('a', ['b', 'c', 'd'], 2));
  });

  it('takes no incarnation that leaves no room for a refutation', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'], Number.MAX_SAFE_INTEGER)], 0);
    expect(made.suspects(60_000)).toEqual([]);
    expect(made.heard('a', [accused('self', ['a'], Number.MAX_SAFE_INTEGER)], 0)).toBe(false);
    expect(made.news('c', LIMIT, 0)).toEqual([alive('self')]);
  });

  it('refutes what is said of a run that its clock, set back meanwhile, makes a later one', () => {
    const made = detector('a', 'b');
    expect(made.heard('a', [{ nodeId: 'self', startedAt: 9, incarnation: 3, accusers: ['b'] }], 0)).toBe(true);
    expect(made.news('a', LIMIT, 0)[0]).toEqual(alive('self', 4, 9));
  });

  it('passes on that a member is there which it had accused without ever having met it', () => {
    const made = detector('a', 'c');
    made.track(['self', 'a', 'b', 'c']);
    pass(made, ['b'], ['a', 'c'], 10);
    for (let i = 0; i < 50; i++) made.news('a', LIMIT, 0);
    made.heard('b', [alive('b')], 20_000);
    expect(newsOf(made, 'b')).toEqual(alive('b'));
    for (let i = 0; i < 50; i++) made.news('a', LIMIT, 0);
    expect(newsOf(made, 'b')).toBeUndefined();
  });

  it('knows when it hears nobody, who was asked again and again, and not where one of several is heard', () => {
    const cut = detector('a', 'b');
    expect(cut.hearsNobody(pass(cut, ['a', 'b'], [], 3))).toBe(false);
    const now = pass(cut, ['a', 'b'], [], 5);
    expect(cut.hearsNobody(now)).toBe(true);
    cut.heard('b', [alive('b')], now);
    expect(cut.hearsNobody(now)).toBe(false);
    const one = detector('a', 'b');
    expect(one.hearsNobody(pass(one, ['b'], ['a'], 10))).toBe(false);
    const pair = detector('a');
    expect(pair.hearsNobody(pass(pair, ['a'], [], 10))).toBe(false);
    expect(detector('a', 'b').hearsNobody(60_000)).toBe(false);
  });

  it('counts who comes back after it was removed as one that it never met', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'])], 0);
    made.track(['self', 'a', 'c']);
    made.track(['self', 'a', 'b', 'c']);
    expect(made.news('a', LIMIT, 0)).toEqual([alive('self')]);
    expect(made.suspects(60_000)).toEqual([]);
    expect(made.heardAgoMs('b', 0)).toBeUndefined();
  });

  it('forgets who is no member any more', () => {
    const made = detector('a', 'b', 'c');
    made.heard('a', [accused('b', ['a', 'c'])], 0);
    made.track(['self', 'a', 'c']);
    expect(made.suspects(60_000)).toEqual([]);
    expect(made.news('a', LIMIT, 0)).toEqual([alive('self')]);
    expect(made.heardAgoMs('b', 0)).toBeUndefined();
    expect(made.heardAgoMs('a', 7)).toBe(7);
  });
});
