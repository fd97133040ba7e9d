import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GossipRecord } from '../../../../src/core/gossip/message.ts';
import { Replica } from '../../../../src/core/gossip/replica.ts';

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

const table = (replica: Replica) => new Map([...replica.records()].map(({ key, value }) => [key, value]));

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

describe('merging', () => {
  it('ends with the newest revision of each key, in any order, any number of times', () => {
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.nat()), (records, order) => {
        const shuffled = [...records, ...records].map((record) => ({ record, at: order.next().value as number }));
        shuffled.sort((a, b) => a.at - b.at);
        const replica = new Replica();
        for (const { record } of shuffled) replica.merge([record]);
        expect(table(replica)).toEqual(truth(records));
      }),
    );
  });

  it('reports exactly the changes', () => {
    const replica = new Replica();
    expect(replica.merge([{ key: 'a', value: '1', revision: 5 }])).toEqual([{ key: 'a', value: '1' }]);
    expect(replica.merge([{ key: 'a', value: '0', revision: 4 }])).toEqual([]);
    expect(replica.merge([{ key: 'a', revision: 6 }])).toEqual([{ key: 'a', value: undefined }]);
    expect(replica.merge([{ key: 'a', value: '1', revision: 5 }])).toEqual([]);
  });

  it('takes absence from a snapshot as deletion, but not of what is newer', () => {
    const replica = new Replica();
    replica.merge([
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
    expect(replica.digest()).toEqual({ complete: 10, ahead: [12] });
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
    const delta = restarted.delta(behind.digest(), 1_000);
    if (delta) behind.mergeDelta(delta, restarted.complete);
    expect(behind.complete).toBe(500);
  });

  it('replaces what a node went by before it heard of anything', () => {
    const target = new Replica();
    target.merge([{ key: 'seed', value: 'old', revision: 1 }]);
    const source = full([{ key: 'a', value: '1', revision: 7 }]);
    target.mergeDelta(source.delta(target.digest(), 1_000)!, source.complete);
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
          const target = full(records.slice(0, cut % (records.length + 1)));
          target.merge(extra.map((i) => records[i % records.length]!));
          for (let rounds = 0; ; rounds++) {
            expect(rounds).toBeLessThan(100);
            const delta = source.delta(target.digest(), budget);
            if (!delta) break;
            target.mergeDelta(delta, source.complete);
          }
          expect(table(target)).toEqual(truth(records));
          expect(target.complete).toBe(source.complete);
        },
      ),
    );
  });

  it('does not claim completeness for single pushed records', () => {
    const source = new Replica();
    source.merge([{ key: 'a', value: '1', revision: 7 }]);
    const target = new Replica();
    target.mergeDelta(source.delta(target.digest(), 1_000)!, source.complete);
    expect(target.complete).toBe(0);
    expect(target.whole).toBe(false);
    expect(table(target)).toEqual(new Map([['a', '1']]));
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
    const target = full(records.slice(0, 1));
    target.mergeDelta(source.delta(target.digest(), 1_000)!, source.complete);
    expect(table(target)).toEqual(new Map([['stale', 'x'], ...truth(records)]));
    expect(target.complete).toBe(1);
  });

  it('makes an empty replica whole only when the last part has come', () => {
    const records = Array.from(
      { length: 20 },
      (_, i): GossipRecord => ({ key: `k${i}`, value: 'x'.repeat(20), revision: i + 1 }),
    );
    const source = full(records);
    const target = new Replica();
    const first = source.delta(target.digest(), 100)!;
    target.mergeDelta(first, source.complete);
    expect(first.to).toBeLessThan(source.complete);
    expect(target.whole).toBe(false);
    for (let delta = source.delta(target.digest(), 100); delta; delta = source.delta(target.digest(), 100)) {
      target.mergeDelta(delta, source.complete);
    }
    expect(target.whole).toBe(true);
  });
});
