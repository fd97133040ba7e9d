import fc from 'fast-check';
import { expect, test } from 'vitest';
import { askAgain, whatHappened } from '../../../../src/adapters/etcd/doubt.ts';
import { TxnResponse } from '../../../../src/gen/etcd/rpc.ts';
import type { Compare, Write } from '../../../../src/ports/store.ts';

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
  // What went with a prefix nobody could tell any more, nor whether it was us who deleted.
  [[absent('/a')], [put('/a'), { kind: 'delete-prefix', prefix: '/p/' }], false],
  [[{ kind: 'exists', key: '/a' }], [{ kind: 'delete', key: '/a' }], false],
])('%j %j may be sent again: %s', (compares, writes, expected) => {
  expect(askAgain(compares, writes) !== undefined).toBe(expected);
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

test.each<[string, TxnResponse, { succeeded: boolean; revision: number } | undefined]>([
  [
    'it happens now',
    TxnResponse.fromPartial({ header: { revision: 99 }, succeeded: true }),
    { succeeded: true, revision: 99 },
  ],
  ['it has happened', answer(['/a', '1', 20], ['/b', '2', 20]), { succeeded: true, revision: 20 }],
  ['another has been there since', answer(['/a', '1', 20], ['/b', 'x', 21]), undefined],
  ['both keys hold it, but were not written together', answer(['/a', '1', 20], ['/b', '2', 21]), undefined],
  ['one is gone', answer(['/a', '1', 20], undefined), undefined],
  ['nothing is there', answer(undefined, undefined), undefined],
  // Whoever was there before, and still is, kept it from happening.
  ['it was so before', answer(['/a', '1', 10], ['/b', '2', 10]), { succeeded: false, revision: 99 }],
  ['one was taken before', answer(undefined, ['/b', 'x', 10]), { succeeded: false, revision: 99 }],
  [
    'one was taken before, and written since',
    answer(undefined, ['/b', 'x', 20, 10]),
    { succeeded: false, revision: 99 },
  ],
  ['one was taken since', answer(undefined, ['/b', 'x', 20]), undefined],
  ['what it was to replace is older', answer(undefined, undefined, ['/c', 'x', 4]), { succeeded: false, revision: 99 }],
  ['what it was to replace is there', answer(undefined, undefined, ['/c', 'x', 5, 3]), undefined],
  ['what it was to replace has been replaced', answer(undefined, undefined, ['/c', 'x', 20, 3]), undefined],
])('%s', (_, response, expected) => {
  const compares: Compare[] = [absent('/a'), absent('/b'), { kind: 'revision', key: '/c', revision: 5 }];
  expect(whatHappened(response, { compares, writes: [put('/a', '1'), put('/b', '2')], after: 10 })).toEqual(expected);
});

test('without any revision that was known before nothing is taken for its doing', () => {
  const asked = { compares: [absent('/a')], writes: [put('/a', '1')], after: 0 };
  expect(whatHappened(answer(['/a', '1', 20]), asked)).toBeUndefined();
});

/** As etcd does it, on a few keys. */
class Keys {
  readonly #held = new Map<string, { value: string; revision: number }>();
  revision = 1;

  holds(compare: Compare): boolean {
    if (compare.kind === 'empty') return ![...this.#held.keys()].some((key) => key.startsWith(compare.prefix));
    const held = this.#held.get(compare.key);
    if (compare.kind === 'revision') return held?.revision === compare.revision;
    return (held === undefined) === (compare.kind === 'absent');
  }

  apply(compares: readonly Compare[], writes: readonly Write[]): boolean {
    if (!compares.every((compare) => this.holds(compare))) return false;
    this.revision++;
    for (const write of writes) {
      if (write.kind === 'put') this.#held.set(write.key, { value: write.value, revision: this.revision });
      else if (write.kind === 'delete') this.#held.delete(write.key);
    }
    return true;
  }
}

test('what may be sent again cannot happen twice', () => {
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
  fc.assert(
    fc.property(
      fc.array(writes, { maxLength: 3 }),
      fc.array(compare, { maxLength: 3 }),
      writes,
      (before, when, then) => {
        const store = new Keys();
        for (const earlier of before) store.apply([], earlier);
        fc.pre(askAgain(when, then) !== undefined && store.apply(when, then));
        expect(store.apply(when, then)).toBe(false);
      },
    ),
    { numRuns: 500 },
  );
});
