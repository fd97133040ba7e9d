import fc from 'fast-check';
import { expect, test } from 'vitest';
import { askAgain, whenItHappened } from '../../../../src/adapters/etcd/doubt.ts';
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

const answer = (...entries: ([key: string, value: string, revision: number] | undefined)[]) =>
  TxnResponse.fromPartial({
    header: { revision: 99 },
    responses: entries.map((entry) => ({
      response: {
        $case: 'responseRange',
        value: {
          kvs: entry ? [{ key: Buffer.from(entry[0]), value: Buffer.from(entry[1]), modRevision: entry[2] }] : [],
        },
      },
    })),
  });

test.each<[string, TxnResponse, number | undefined]>([
  ['it happens now', TxnResponse.fromPartial({ header: { revision: 99 }, succeeded: true }), 99],
  ['it has happened', answer(['/a', '1', 20], ['/b', '2', 20]), 20],
  ['another has been there since', answer(['/a', '1', 20], ['/b', 'x', 21]), undefined],
  ['both keys hold it, but were not written together', answer(['/a', '1', 20], ['/b', '2', 21]), undefined],
  ['one is gone', answer(['/a', '1', 20], undefined), undefined],
  ['it was so before', answer(['/a', '1', 10], ['/b', '2', 10]), undefined],
  ['nothing is there', answer(undefined, undefined), undefined],
])('%s', (_, response, revision) => {
  expect(whenItHappened(response, [put('/a', '1'), put('/b', '2')], 10)).toBe(revision);
});

test('without any revision that was known before nothing is taken for its doing', () => {
  expect(whenItHappened(answer(['/a', '1', 20]), [put('/a', '1')], 0)).toBeUndefined();
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
