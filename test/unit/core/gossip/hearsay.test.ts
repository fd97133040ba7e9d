import { expect, test } from 'vitest';
import { judge, screen } from '../../../../src/core/gossip/hearsay.ts';
import { keys } from '../../../../src/core/records.ts';

test('of a revision nothing is left when a part of it cannot be: what is left would count as all of it', () => {
  const at = (key: string, revision: number) => ({ key, revision, value: '{}' });
  const others = [at(keys.node('n1'), 20), at(keys.node('n2'), 22)];
  const half = [at(keys.node('n3'), 21), at('/registry/pods', 21), at(keys.live('n3'), 21)];
  const delta = { from: 0, to: 0, records: [...half, ...others] };
  const { message, nonsense } = screen({ from: 'n9', members: [], delta }, 10);
  expect(message.delta).toEqual({ ...delta, records: others });
  expect(nonsense).toEqual(['/registry/pods at revision 21']);
});

test('static names are etcd’s where it is followed, and where it is not, a network’s that is here stay as they are', () => {
  const record = { key: keys.staticNames('w'), value: '{}', revision: 9 };
  const verdict = (held: string | undefined, followed: boolean, isHere: boolean) =>
    judge(record, held, 'n2', { selfId: 'n1', followed, hasEndpoint: () => false, isOnNetwork: () => isHere });
  expect(verdict(undefined, true, true)).toBe('use');
  expect(verdict('{}', true, false)).toBe('check');
  expect(verdict('{}', false, true)).toBe('check');
  expect(verdict('{}', false, false)).toBe('use');
});
