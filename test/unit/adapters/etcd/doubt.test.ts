import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  askAgain,
  type Doubted,
  lookBack,
  whatHappened,
  whatHistoryTells,
} from '../../../../src/adapters/etcd/doubt.ts';
import type { PastEvent } from '../../../../src/adapters/etcd/history.ts';
import { TxnResponse } from '../../../../src/gen/etcd/rpc.ts';
import type { Compare, TxnResult, Write } from '../../../../src/ports/store.ts';

const put = (key: string, value = ''): Write => ({ kind: 'put', key, value });
const absent = (key: string): Compare => ({ kind: 'absent', key });

test.each<[Compare[], Write[], boolean]>([
  [[absent('/a')], [put('/a')], true],
  [[absent('/a')], [put('/b')], false],
  [[], [put('/a')], false],
  [[{ kind: 'revision', key: '/a', revision: 5 }], [put('/a')], true],
  [[{ kind: 'revision', key: '/a', revision: 5 }], [{ kind: 'delete', key: '/a' }, put('/b')], true],
  [[{ kind: 'exists', key: '/a' }], [put('/a')], false],
  [[{ kind: 'exists', key: '/a' }], [{ kind: 'delete', key: '/a' }, put('/b')], true],
  [[{ kind: 'empty', prefix: '/p/' }], [put('/p/a')], true],
  [[{ kind: 'empty', prefix: '/p/' }], [put('/q/a')], false],
  [[absent('/a')], [put('/a'), { kind: 'delete-prefix', prefix: '/p/' }], true],
  [[{ kind: 'exists', key: '/a' }], [{ kind: 'delete', key: '/a' }], true],
  [[{ kind: 'exists', key: '/p/a' }], [{ kind: 'delete-prefix', prefix: '/p/' }], false],
])('%j %j may be sent again: %s', (compares, writes, expected) => {
  expect(askAgain({ compares, writes }) !== undefined).toBe(expected);
});

type Held = [key: string, value: string, revision: number, created?: number];

const answer = (...entries: (Held | undefined)[]) =>
  TxnResponse.fromPartial({
    header: { revision: 99 },
    responses: entries.map((entry) => ({
      response: { $case: 'responseRange', value: { kvs: entry ? [kv(entry)] : [] } },
    })),
  });

const kv = ([key, value, modRevision, createRevision = modRevision]: Held) => ({
  ...{ key: Buffer.from(key), value: Buffer.from(value) },
  ...{ modRevision, createRevision },
});

const made = (revision: number, deleted: string[] = []): TxnResult => ({ succeeded: true, revision, deleted });
const NOT_MADE: TxnResult = { succeeded: false, revision: 99, deleted: [] };

test.each<[string, TxnResponse, TxnResult | undefined]>([
  ['it happens now', TxnResponse.fromPartial({ header: { revision: 99 }, succeeded: true }), made(99)],
  ['it has happened', answer(['/a', '1', 20], ['/b', '2', 20]), made(20)],
  ['another has been there since', answer(['/a', '1', 20], ['/b', 'x', 21]), undefined],
  ['both keys hold it, but were not written together', answer(['/a', '1', 20], ['/b', '2', 21]), undefined],
  ['one is gone', answer(['/a', '1', 20], undefined), undefined],
  ['nothing is there', answer(undefined, undefined), undefined],
  // Whoever was there before, and still is, kept it from happening.
  ['it was so before', answer(['/a', '1', 10], ['/b', '2', 10]), NOT_MADE],
  ['one was taken before', answer(undefined, ['/b', 'x', 10]), NOT_MADE],
  ['one was taken before, and written since', answer(undefined, ['/b', 'x', 20, 10]), NOT_MADE],
  ['one was taken since', answer(undefined, ['/b', 'x', 20]), undefined],
  ['what it was to replace is older', answer(undefined, undefined, ['/c', 'x', 4]), NOT_MADE],
  ['what it was to replace is there', answer(undefined, undefined, ['/c', 'x', 5, 3]), undefined],
  ['what it was to replace has been replaced', answer(undefined, undefined, ['/c', 'x', 20, 3]), undefined],
])('%s', (_, response, expected) => {
  const compares: Compare[] = [absent('/a'), absent('/b'), { kind: 'revision', key: '/c', revision: 5 }];
  expect(whatHappened(response, { compares, writes: [put('/a', '1'), put('/b', '2')], after: 10 })).toEqual(expected);
});

test('without any revision that was known before nothing is taken for its doing', () => {
  const asked = { compares: [absent('/a')], writes: [put('/a', '1')], after: 0 };
  expect(whatHappened(answer(['/a', '1', 20]), asked)).toBeUndefined();
  expect(lookBack(answer(['/a', '1', 20]), asked)).toBeUndefined();
});

test('where all that stands in the way is unknown, history has no end', () => {
  const writes = [put('/a', '1')];
  // What it was not to find is not there: it may have been, for a while.
  expect(lookBack(answer(undefined), { compares: [absent('/a')], writes, after: 10 })).toBeUndefined();
});

test('a deletion before it was what it compares with is not its end', () => {
  const writes: Write[] = [{ kind: 'delete', key: '/a' }];
  const compares: Compare[] = [{ kind: 'revision', key: '/a', revision: 4 }];
  const { isLast } = lookBack(answer(undefined), { compares, writes, after: 2 })!;
  const deletions = [3, 5].map((revision) => ({ key: '/a', value: undefined, revision }));
  expect(deletions.map(isLast)).toEqual([false, true]);
});

/** As etcd does it, on a few keys. */
class Keys {
  readonly #held = new Map<string, { value: string; revision: number; created: number }>();
  readonly events: PastEvent[] = [];
  revision = 1;

  holds(compare: Compare): boolean {
    if (compare.kind === 'empty') return ![...this.#held.keys()].some((key) => key.startsWith(compare.prefix));
    const held = this.#held.get(compare.key);
    if (compare.kind === 'revision') return held?.revision === compare.revision;
    return (held === undefined) === (compare.kind === 'absent');
  }

  apply(compares: readonly Compare[], writes: readonly Write[]): TxnResult {
    if (!compares.every((compare) => this.holds(compare))) {
      return { succeeded: false, revision: this.revision, deleted: [] };
    }
    const [revision, deleted] = [this.revision + 1, [] as string[]];
    const remove = (key: string) => {
      const replaced = this.#held.get(key)?.revision ?? 0;
      if (this.#held.delete(key)) this.events.push({ key, value: undefined, revision, replaced });
    };
    for (const write of writes) {
      if (write.kind === 'put') {
        const { created, revision: replaced } = this.#held.get(write.key) ?? { created: revision, revision: 0 };
        this.#held.set(write.key, { value: write.value, revision, created });
        this.events.push({ key: write.key, value: write.value, revision, replaced });
      } else if (write.kind === 'delete') remove(write.key);
      else {
        const gone = [...this.#held.keys()].filter((key) => key.startsWith(write.prefix));
        deleted.push(...gone);
        gone.forEach(remove);
      }
    }
    if (this.events.at(-1)?.revision === revision) this.revision = revision;
    return { succeeded: true, revision: this.revision, deleted };
  }

  /** The question, where the compares do not hold. */
  answer({ compares, writes }: Doubted): TxnResponse {
    const { failure = [] } = askAgain({ compares, writes }) ?? {};
    const keys = failure.map(({ request }) => (request?.$case === 'requestRange' ? request.value.key.toString() : ''));
    const entries = keys.map((key): Held | undefined => {
      const held = this.#held.get(key);
      return held && [key, held.value, held.revision, held.created];
    });
    return TxnResponse.fromPartial({ ...answer(...entries), header: { revision: this.revision } });
  }
}

const key = fc.constantFrom('/a', '/b', '/p/a', '/p/b');
const compare = fc.oneof(
  fc.record({ kind: fc.constantFrom('absent' as const, 'exists' as const), key }),
  fc.record({ kind: fc.constant('revision' as const), key, revision: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('empty' as const), prefix: fc.constantFrom('/p/', '/') }),
);
const write = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key, value: fc.constantFrom('1', '2') }),
  fc.record({ kind: fc.constant('delete' as const), key }),
);
const writes = fc.uniqueArray(write, { selector: (each) => each.key, minLength: 1, maxLength: 3 });

test('what may be sent again cannot happen twice', () => {
  fc.assert(
    fc.property(
      fc.array(writes, { maxLength: 3 }),
      fc.array(compare, { maxLength: 3 }),
      writes,
      (before, when, then) => {
        const store = new Keys();
        for (const earlier of before) store.apply([], earlier);
        const may = askAgain({ compares: when, writes: then }) !== undefined;
        fc.pre(may && store.apply(when, then).succeeded);
        expect(store.apply(when, then).succeeded).toBe(false);
      },
    ),
    { numRuns: 500 },
  );
});

/** Values that nobody else writes, as those of records have an id or a time. */
const own = (each: Write): Write => (each.kind === 'put' ? { ...each, value: `own ${each.value}` } : each);
const prefix = fc.constantFrom<Write[]>([], [], [{ kind: 'delete-prefix', prefix: '/p/' }]);

test('what history tells is what happened, whatever others did before and after', () => {
  let told = 0;
  fc.assert(
    fc.property(
      fc.array(writes, { maxLength: 4 }),
      fc.array(writes, { maxLength: 3 }),
      fc.array(writes, { maxLength: 4 }),
      fc.array(compare, { minLength: 1, maxLength: 3 }),
      fc.tuple(writes, prefix),
      fc.boolean(),
      (...[before, meanwhile, since, compares, [some, gone], isSent]) => {
        const plain = gone.length > 0 ? some.filter((each) => !each.key.startsWith('/p/')) : some;
        const doubted = { compares, writes: [...plain, ...gone].map(own), after: 0 };
        fc.pre(askAgain(doubted) !== undefined);
        const store = new Keys();
        for (const earlier of before) store.apply([], earlier);
        doubted.after = store.revision;
        for (const other of meanwhile) store.apply([], other);
        const was = isSent ? store.apply(compares, doubted.writes) : undefined;
        for (const other of since) store.apply([], other);
        fc.pre(!compares.every((each) => store.holds(each)));
        const response = store.answer(doubted);
        const back = lookBack(response, doubted);
        const { prefix: under = '' } = back ?? {};
        const all = store.events.filter((event) => event.revision > doubted.after && event.key.startsWith(under));
        const last = back ? all.findIndex(back.isLast) : -1;
        const quick = whatHappened(response, doubted);
        const revision = all[last]?.revision ?? 0;
        const seen = all.filter((event) => event.revision <= revision);
        const outcome = quick ?? (last < 0 ? undefined : whatHistoryTells(seen, response, doubted));
        if (outcome === undefined) return;
        told++;
        // Others may have deleted just that: then it is as if it had been this one.
        if (!was?.succeeded) expect(outcome.succeeded && doubted.writes.some(({ kind }) => kind === 'put')).toBe(false);
        else
          expect({ ...outcome, deleted: [...outcome.deleted].sort() }).toEqual({
            ...was,
            deleted: [...was.deleted].sort(),
          });
      },
    ),
    { numRuns: 1_000 },
  );
  expect(told).toBeGreaterThan(200);
});
