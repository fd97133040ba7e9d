import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GossipRecord } from '../../../../src/core/gossip/message.ts';
import { type Hearing, Replica } from '../../../../src/core/gossip/replica.ts';

/** A history as etcd would have it: one write per revision, over a few keys. */
const history = fc
  .array(
    fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      value: fc.option(fc.string({ maxLength: 4 }), { nil: undefined }),
    }),
    {
      minLength: 1,
      maxLength: 40,
    },
  )
  .map((writes) => writes.map((write, i): GossipRecord => ({ ...write, revision: i + 1 })));

const table = (replica: Replica) => new Map([...replica.shown.all()].map(({ key, value }) => [key, value]));

function truth(records: readonly GossipRecord[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const { key, value } of records) value === undefined ? map.delete(key) : map.set(key, value);
  return map;
}

const full = (records: readonly GossipRecord[], options?: { maxTombstones: number }) => {
  const replica = new Replica(options);
  replica.mergeSnapshot(0, []);
  for (const record of records) replica.mergeEvents(record.revision, [record]);
  return replica;
};

/** As a member that etcd does not reach. */
const hearing: Hearing = { from: 'n2', at: 0, judge: () => 'use' };
const isWhole = () => true;
const alone = (replica: Replica) => {
  replica.stalled();
  return replica;
};
const reconcile = (target: Replica, source: Replica, budget = 1_000) => {
  const delta = source.delta(target.digest(), budget);
  if (delta) target.hearDelta(delta, source.digest(), hearing);
  return delta;
};

describe('merging', () => {
  it('ends with the newest revision of each key, in any order, any number of times', () => {
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.nat()), (records, order) => {
        const shuffled = [...records, ...records].map((record) => ({ record, at: order.next().value as number }));
        shuffled.sort((a, b) => a.at - b.at);
        const replica = new Replica();
        for (const { record } of shuffled) replica.learn([record]);
        expect(table(replica)).toEqual(truth(records));
      }),
    );
  });

  it('reports exactly the changes', () => {
    const replica = new Replica();
    expect(replica.learn([{ key: 'a', value: '1', revision: 5 }])).toEqual([{ key: 'a', value: '1' }]);
    expect(replica.learn([{ key: 'a', value: '0', revision: 4 }])).toEqual([]);
    expect(replica.learn([{ key: 'a', revision: 6 }])).toEqual([{ key: 'a', value: undefined, before: '1' }]);
    expect(replica.learn([{ key: 'a', value: '1', revision: 5 }])).toEqual([]);
  });

  it('takes absence from a snapshot as deletion, but not of what is newer', () => {
    const replica = new Replica();
    replica.learn([
      { key: 'old', value: '1', revision: 3 },
      { key: 'new', value: '2', revision: 12 },
    ]);
    replica.mergeSnapshot(10, [{ key: 'other', value: '3', revision: 9 }]);
    expect(table(replica)).toEqual(
      new Map([
        ['new', '2'],
        ['other', '3'],
      ]),
    );
    expect(replica.digest()).toEqual({ completeTo: 10, ahead: [] });
  });
});

describe('a list of etcd', () => {
  it('brings back what had been lost on the way', () => {
    const replica = full([{ key: 'a', value: '1', revision: 1 }]);
    replica.mergeEvents(20, []);
    replica.mergeSnapshot(30, [
      { key: 'a', value: '1', revision: 1 },
      { key: 'lost', value: '2', revision: 15 },
    ]);
    expect(table(replica)).toEqual(
      new Map([
        ['a', '1'],
        ['lost', '2'],
      ]),
    );
  });

  it('stands against a tombstone of another history', () => {
    const replica = full([
      { key: 'a', value: '1', revision: 5 },
      { key: 'a', revision: 15 },
    ]);
    replica.mergeSnapshot(1_000, [{ key: 'a', value: '1', revision: 5 }]);
    expect(table(replica)).toEqual(new Map([['a', '1']]));
  });

  it('does not let its holder vouch for deletions that it never saw', () => {
    const behind = full([{ key: 'k', value: '1', revision: 500 }]);
    const restarted = new Replica();
    restarted.mergeSnapshot(900, []);
    reconcile(alone(behind), restarted);
    expect(behind.completeTo).toBe(500);
  });

  it('replaces what a node went by before it heard of anything, which a member does not', () => {
    const target = new Replica();
    target.seed([{ key: 'seed', value: 'old' }]);
    reconcile(target, full([{ key: 'a', value: '1', revision: 7 }]));
    expect(target.whole).toBe(true);
    expect(table(target)).toEqual(
      new Map([
        ['seed', 'old'],
        ['a', '1'],
      ]),
    );
    target.mergeSnapshot(8, [{ key: 'a', value: '1', revision: 7 }]);
    expect(table(target)).toEqual(new Map([['a', '1']]));
    target.seed([{ key: 'seed', value: 'old' }]);
    expect(table(target)).toEqual(new Map([['a', '1']]));
  });
});

describe('reconciliation by digest', () => {
  it('makes a replica with any part of the history equal to a whole one, whatever the byte budget', () => {
    fc.assert(
      fc.property(
        history,
        fc.nat(),
        fc.array(fc.nat(), { maxLength: 8 }),
        fc.integer({ min: 1, max: 200 }),
        (records, cut, extra, budget) => {
          const source = full(records);
          const target = alone(full(records.slice(0, cut % (records.length + 1))));
          const pushed = extra.map((i) => records[i % records.length]!);
          target.hear(pushed, hearing, isWhole);
          for (let rounds = 0; reconcile(target, source, budget); rounds++) expect(rounds).toBeLessThan(100);
          expect(table(target)).toEqual(truth(records));
          expect(target.completeTo).toBe(source.completeTo);
        },
      ),
    );
  });

  it('does not claim completeness for single pushed records, and tells which revisions it has', () => {
    const source = new Replica();
    source.hear([{ key: 'a', value: '1', revision: 7 }], hearing, isWhole);
    const target = new Replica();
    reconcile(target, source);
    expect(target.digest()).toEqual({ completeTo: 0, ahead: [7] });
    expect(target.whole).toBe(false);
    expect(table(target)).toEqual(new Map([['a', '1']]));
    expect(reconcile(target, source)).toBeUndefined();
  });

  it('does not take a revision for held of which a part was left out, or came by itself', () => {
    const source = new Replica();
    const transaction = [
      { key: 'a', value: '1', revision: 7 },
      { key: 'b', value: '1', revision: 7 },
    ];
    source.hear(transaction, hearing, isWhole);
    const target = new Replica();
    const judge: Hearing['judge'] = ({ key }) => (key === 'b' ? 'check' : 'use');
    target.hear(transaction, { ...hearing, judge }, isWhole);
    expect(target.digest().ahead).toEqual([]);
    expect(table(target)).toEqual(new Map([['a', '1']]));
    const reader = new Replica();
    reader.learn(transaction.slice(0, 1));
    expect(reader.digest().ahead).toEqual([]);
    reconcile(reader, source);
    expect(reader.get('b')?.value).toBe('1');
  });

  it('is silent between equals', () => {
    const records = [
      { key: 'a', value: '1', revision: 1 },
      { key: 'b', value: '2', revision: 2 },
    ];
    expect(full(records).delta(full(records).digest(), 1_000)).toBeUndefined();
  });

  it('gives a peer that is behind the kept tombstones all records, but no claim of completeness', () => {
    const records: GossipRecord[] = [
      { key: 'stale', value: 'x', revision: 1 },
      { key: 'stale', revision: 2 },
    ];
    for (let i = 3; i < 40; i++) records.push({ key: `k${i >> 1}`, value: i % 2 ? undefined : 'v', revision: i });
    records.push({ key: 'new', value: 'y', revision: 40 });
    const source = full(records, { maxTombstones: 4 });
    const target = alone(full(records.slice(0, 1)));
    reconcile(target, source);
    expect(table(target)).toEqual(new Map([['stale', 'x'], ...truth(records)]));
    expect(target.completeTo).toBe(1);
  });

  it('makes an empty replica whole only when the last part has come', () => {
    const records = Array.from(
      { length: 20 },
      (_, i): GossipRecord => ({ key: `k${i}`, value: 'x'.repeat(20), revision: i + 1 }),
    );
    const source = full(records);
    const target = new Replica();
    const first = reconcile(target, source, 100)!;
    expect(first.to).toBeLessThan(source.completeTo);
    expect(target.whole).toBe(false);
    while (reconcile(target, source, 100));
    expect(target.whole).toBe(true);
  });

  it('is made whole by no member that knows less than this node did', () => {
    const target = new Replica();
    target.floor = 9;
    reconcile(target, full([{ key: 'a', value: '1', revision: 7 }]));
    expect([target.completeTo, target.whole]).toEqual([7, false]);
    reconcile(target, full([{ key: 'a', value: '1', revision: 9 }]));
    expect([target.completeTo, target.whole]).toEqual([9, true]);
  });
});

describe('what a member says', () => {
  const refuted: string[] = [];
  const watched = () => {
    refuted.length = 0;
    return new Replica({ onRefuted: ({ record, by }) => refuted.push(`${record.key} ${record.revision} ${by}`) });
  };
  const say = (replica: Replica, key: string, value: string | undefined, revision: number, at = 0) =>
    replica.hear([{ key, value, revision }], { ...hearing, at }, isWhole);

  it('stands until etcd has told as far, and is then confirmed or refuted', () => {
    const replica = watched();
    replica.mergeSnapshot(10, [
      { key: 'a', value: '1', revision: 5 },
      { key: 'b', value: '1', revision: 6 },
    ]);
    expect(say(replica, 'a', '2', 12)).toEqual([{ key: 'a', value: '2', before: '1' }]);
    say(replica, 'b', undefined, 13);
    say(replica, 'new', 'x', 14);
    expect(table(replica)).toEqual(
      new Map([
        ['a', '2'],
        ['new', 'x'],
      ]),
    );
    replica.mergeEvents(12, [{ key: 'a', value: '2', revision: 12 }]);
    expect(refuted).toEqual([]);
    expect(replica.mergeEvents(14, [])).toEqual([
      { key: 'b', value: '1' },
      { key: 'new', value: undefined, before: 'x' },
    ]);
    expect(refuted).toEqual(['b 13 etcd', 'new 14 etcd']);
  });

  it('is refuted by another value of the same revision, before or after', () => {
    const replica = watched();
    replica.mergeSnapshot(10, []);
    say(replica, 'a', 'false', 11);
    expect(replica.mergeEvents(11, [{ key: 'a', value: 'true', revision: 11 }])).toEqual([
      { key: 'a', value: 'true', before: 'false' },
    ]);
    expect(say(replica, 'a', 'false', 11)).toEqual([]);
    expect(refuted).toEqual(['a 11 etcd', 'a 11 etcd']);
  });

  it('is no falsehood when the key was written once more since', () => {
    const replica = watched();
    replica.mergeSnapshot(10, []);
    say(replica, 'a', '1', 11);
    replica.mergeEvents(20, [{ key: 'a', value: '2', revision: 15 }]);
    say(replica, 'gone', '1', 21);
    replica.mergeSnapshot(30, []);
    expect(refuted).toEqual([]);
    expect(table(replica).size).toBe(0);
  });

  it('that etcd does not reach is forgotten after a while', () => {
    const replica = watched();
    replica.mergeSnapshot(10, []);
    say(replica, 'a', '1', 9_000, 100);
    expect(replica.forgetUnconfirmed(100)).toEqual([]);
    expect(replica.forgetUnconfirmed(101)).toEqual([{ key: 'a', value: undefined, before: '1' }]);
    expect(refuted).toEqual(['a 9000 silence']);
    expect(replica.digest()).toEqual({ completeTo: 10, ahead: [] });
    say(alone(replica), 'a', '1', 9_000, 100);
    expect(replica.forgetUnconfirmed(101)).toEqual([]);
  });

  it('and etcd did not confirm is not believed again, until etcd is away', () => {
    const replica = watched();
    replica.mergeSnapshot(10, []);
    say(replica, 'a', '1', 20);
    replica.forgetUnconfirmed(1);
    expect(say(replica, 'a', '1', 20, 5)).toEqual([]);
    expect(replica.digest().ahead).toEqual([]);
    expect(refuted).toEqual(['a 20 silence', 'a 20 silence']);
    // What is newer is another thing, and etcd has the last word in any case.
    expect(say(replica, 'a', '2', 21, 5)).toEqual([{ key: 'a', value: '2' }]);
    replica.forgetUnconfirmed(6);
    expect(replica.mergeEvents(20, [{ key: 'a', value: '1', revision: 20 }])).toEqual([{ key: 'a', value: '1' }]);
    expect(say(alone(replica), 'a', '2', 21)).toEqual([{ key: 'a', value: '2', before: '1' }]);
  });

  it('does not say how far etcd has come where etcd is followed', () => {
    const replica = watched();
    replica.mergeSnapshot(10, []);
    const delta = { from: 0, to: 5_000, records: [] };
    replica.hearDelta(delta, { completeTo: 5_000, ahead: [] }, hearing);
    expect(replica.completeTo).toBe(10);
    alone(replica).hearDelta(delta, { completeTo: 5_000, ahead: [] }, hearing);
    expect(replica.completeTo).toBe(5_000);
    expect(replica.mergeEvents(11, [{ key: 'a', value: '1', revision: 11 }])).toEqual([{ key: 'a', value: '1' }]);
    expect(replica.completeTo).toBe(11);
  });

  it('is not passed on where etcd is followed', () => {
    const replica = watched();
    replica.mergeSnapshot(10, [{ key: 'a', value: '1', revision: 5 }]);
    say(replica, 'a', '2', 12);
    const peer = { completeTo: 0, ahead: [] };
    expect(replica.delta(peer, 1_000)).toEqual({ from: 0, to: 10, records: [{ key: 'a', value: '1', revision: 5 }] });
    expect(alone(replica).delta(peer, 1_000)?.records).toEqual([{ key: 'a', value: '2', revision: 12 }]);
  });
});

describe('an etcd that falls back', () => {
  it('stands alone, but for what the node has itself', () => {
    const replica = full([
      { key: 'a', value: '2', revision: 50 },
      { key: 'own', value: 'x', revision: 51 },
      { key: 'late', value: 'y', revision: 52 },
    ]);
    const changes = replica.fallBack(
      20,
      [{ key: 'a', value: '1', revision: 9 }],
      [{ key: 'own', value: 'x', revision: 20 }],
    );
    expect(changes).toEqual([
      { key: 'a', value: '1', before: '2' },
      { key: 'late', value: undefined, before: 'y' },
    ]);
    expect([replica.behind, replica.completeTo, replica.get('own')?.revision]).toEqual([true, 20, 1]);
    expect(replica.delta({ completeTo: 5, ahead: [] }, 1_000)).toEqual({
      from: 0,
      to: 0,
      records: [{ key: 'a', value: '1', revision: 9 }],
    });
    replica.mergeEvents(21, [{ key: 'late', value: 'z', revision: 21 }]);
    expect(replica.accept()).toEqual([{ key: 'own', value: undefined, before: 'x' }]);
    expect(table(replica)).toEqual(
      new Map([
        ['a', '1'],
        ['late', 'z'],
      ]),
    );
  });
});
