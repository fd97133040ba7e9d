import { expect, test } from 'vitest';
import { SharedTransactions, type Transaction } from '../../../../src/agent/view/shared-transactions.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { MemoryEtcd } from '../../../sim/memory-store.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

/** Keys of each transaction that came to etcd, in order; `answer`: when it does. */
function make(refuse: (transaction: Transaction) => Error | undefined = () => undefined) {
  const etcd = new MemoryEtcd({ clock: new VirtualClock() });
  const asked: string[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  const shared = new SharedTransactions<number>(async (transaction) => {
    const gate = Promise.withResolvers<void>();
    asked.push(transaction.writes.map((write) => ('key' in write ? write.key : write.prefix)).join(' '));
    gates.push(gate);
    await gate.promise;
    const error = refuse(transaction);
    if (error) throw error;
    const { succeeded, revision } = etcd.txn(transaction.compares, transaction.writes);
    return succeeded ? revision : undefined;
  });
  /** All that are under way, and what follows. */
  const answer = async () => {
    for (const gate of gates.splice(0)) gate.resolve();
    for (let turn = 0; turn < 20; turn++) await undefined;
  };
  const outcomes = async (running: readonly Promise<number | undefined>[]) => {
    while (gates.length > 0) await answer();
    return await Promise.allSettled(running).then((all) =>
      all.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as OverlaydError).code)),
    );
  };
  return { answer, asked, etcd, outcomes, run: (transaction: Transaction) => shared.run(transaction) };
}

const ACTIVE = { kind: 'absent', key: '/gone' } as const;

/** Create-only. */
function claim(key: string, value = key): Transaction {
  return { compares: [ACTIVE, { kind: 'absent', key }], writes: [{ kind: 'put', key, value }] };
}

const claims = (count: number) => Array.from({ length: count }, (_, at) => claim(`/${at}`));

test('what waits while two are under way goes as one, and each is told', async () => {
  const { asked, etcd, outcomes, run } = make();
  const before = etcd.revision;
  const running = claims(6).map(run);
  expect(asked).toEqual(['/0', '/1']);
  expect(await outcomes(running)).toEqual([1, 2, 3, 3, 3, 3].map((each) => before + each));
  expect(asked).toEqual(['/0', '/1', '/2 /3 /4 /5']);
});

test('of two that claim the same the later one loses, and of one that says of what another writes nothing is lost', async () => {
  const { asked, outcomes, run } = make();
  const after: Transaction = {
    compares: [{ kind: 'exists', key: '/same' }],
    writes: [{ kind: 'delete', key: '/same' }],
  };
  const running = [...claims(2), claim('/same', 'a'), claim('/same', 'b'), claim('/other'), after].map(run);
  const [, , first, second, other, last] = await outcomes(running);
  expect([typeof first, typeof second, typeof other, typeof last]).toEqual(['number', 'undefined', 'number', 'number']);
  expect(asked).toEqual(['/0', '/1', '/same /other', '/same', '/same']);
});

test('one that does not hold fails alone', async () => {
  const { asked, etcd, outcomes, run } = make();
  etcd.txn([], [{ kind: 'put', key: '/3', value: 'somebody else' }]);
  const all = await outcomes(claims(5).map(run));
  expect(all.map((each) => typeof each)).toEqual(['number', 'number', 'number', 'undefined', 'number']);
  expect(asked.slice(2).sort()).toEqual(['/2', '/2 /3 /4', '/3', '/4']);
});

test('what etcd refuses of one is done of the others', async () => {
  const { outcomes, run } = make(({ writes }) =>
    writes.some((write) => 'key' in write && write.key === '/3') ? new OverlaydError('store-failed', 'no') : undefined,
  );
  const all = await outcomes(claims(5).map(run));
  expect(all.map((each) => (each === 'store-failed' ? each : typeof each))).toEqual([
    ...['number', 'number', 'number', 'store-failed', 'number'],
  ]);
});

test('what may have happened is tried by nobody again', async () => {
  const { asked, outcomes, run } = make(({ writes }) =>
    writes.length > 1 ? new OverlaydError('store-unavailable', 'silence', { retryable: true }) : undefined,
  );
  const all = await outcomes(claims(5).map(run));
  expect(all.slice(2)).toEqual(['store-unavailable', 'store-unavailable', 'store-unavailable']);
  expect(asked).toEqual(['/0', '/1', '/2 /3 /4']);
});

test('no more go together than etcd takes', async () => {
  const many = make();
  await many.outcomes(claims(300).map(many.run));
  // One compare is of all of them.
  expect(many.asked.map((each) => each.split(' ').length)).toEqual([1, 1, 126, 126, 46]);
  const long = make();
  await long.outcomes(claims(5).map((_, at) => long.run(claim(`/${at}`, 'x'.repeat(30_000)))));
  expect(long.asked.map((each) => each.split(' ').length)).toEqual([1, 1, 2, 1]);
});

test('one that is too large to be shared goes alone, and who asks for what it writes comes after it', async () => {
  const { asked, outcomes, run } = make();
  const large = claim('/large', 'x'.repeat(70_000));
  const other: Transaction = { compares: large.compares, writes: [{ kind: 'put', key: '/other', value: '' }] };
  const all = await outcomes([...claims(2), large, other].map(run));
  expect(all.map((each) => typeof each)).toEqual(['number', 'number', 'number', 'undefined']);
  expect(asked).toEqual(['/0', '/1', '/large', '/other']);
});

test('what is said of ranges goes alone, and does not wait', async () => {
  const { asked, outcomes, run } = make();
  const network: Transaction = { compares: [{ kind: 'empty', prefix: '/9/' }], writes: [] };
  const sweep: Transaction = { compares: [], writes: [{ kind: 'delete-prefix', prefix: '/9/' }] };
  const running = [...claims(3), network, sweep].map(run);
  expect(asked).toEqual(['/0', '/1', '', '/9/']);
  await outcomes(running);
  expect(asked.at(-1)).toBe('/2');
});
