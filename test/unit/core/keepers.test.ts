import { expect, test } from 'vitest';
import { isKeeper, keepersOf, keptStore, lacksKeepers, lastKeyProblem } from '../../../src/core/keepers.ts';
import type { NodeRecord } from '../../../src/core/records.ts';
import { clusterRecord, nodeRecord } from '../../fixtures/records.ts';

const node = (id: string, parts: Partial<NodeRecord> = {}) => nodeRecord({ id, name: id, ...parts });
const ids = (nodes: readonly NodeRecord[], storeMembers?: number) =>
  keepersOf(nodes, { keepers: undefined, cluster: storeMembers === undefined ? undefined : { storeMembers } }).map(
    ({ id }) => id,
  );

test('the record of keepers says who they are, whatever a node says of itself', () => {
  const nodes = [node('c'), node('a', { holdsStore: true }), node('b', { left: true })];
  expect(keepersOf(nodes, { keepers: ['b', 'c', 'x'], cluster: undefined }).map(({ id }) => id)).toEqual(['c']);
  expect(isKeeper('a', nodes, { keepers: ['c'], cluster: undefined })).toBe(false);
  expect(isKeeper('c', nodes, { keepers: ['c'], cluster: undefined })).toBe(true);
});

test('without it members are that keep the store, whatever their number and order', () => {
  const nodes = [node('c', { holdsStore: true }), node('a'), node('b', { holdsStore: true })];
  expect(ids(nodes)).toEqual(['b', 'c']);
});

test('one that has left is none', () => {
  expect(ids([node('a', { holdsStore: true, left: true }), node('b', { holdsStore: true })])).toEqual(['b']);
});

test('where no member keeps the store, those are keepers that joined first and can be called', () => {
  const nodes = [
    node('e', { joinedAt: 1, nat: true }),
    node('d', { joinedAt: 2 }),
    node('a', { joinedAt: 3, left: true }),
    node('c', { joinedAt: 4 }),
    node('b', { joinedAt: 4 }),
    node('f', { joinedAt: 5 }),
  ];
  expect(ids(nodes)).toEqual(['b', 'c', 'd']);
  expect(ids(nodes, 1)).toEqual(['b', 'd']);
  expect(ids(nodes, 5)).toEqual(['b', 'c', 'd', 'f']);
});

test('with whom a member of etcd speaks: those that keep the store, have a copy, or are about to', () => {
  const at = (id: string, address: string, parts: Partial<NodeRecord> = {}) =>
    node(id, { advertiseAddress: address, vtep: address, ...parts });
  const nodes = [
    at('a', '10.0.0.1', { holdsStore: true }),
    at('b', '10.0.0.2', { vtep: '10.1.0.2' }),
    at('c', '10.0.0.3'),
    at('d', '10.0.0.4'),
    at('e', '10.0.0.5', { left: true }),
  ];
  const store = { port: 2379, here: false };
  const view = {
    nodes: () => nodes,
    keepers: () => undefined,
    keepersRecord: () => undefined,
    storeChange: () => undefined,
  };
  const peersOf = (selfId: string, parts: Partial<Parameters<typeof keptStore>[0]> = {}) => {
    const { here, peers } = keptStore({ ...view, ...parts }, selfId, store);
    return [here, ...peers.addresses];
  };
  expect(peersOf('a')).toEqual([true]);
  expect(peersOf('b')).toEqual([false, '10.0.0.1']);
  const keepers = () => ['a', 'b', 'e'];
  expect(peersOf('a', { keepers })).toEqual([true, '10.0.0.2', '10.1.0.2']);
  expect(peersOf('c', { keepers, storeChange: () => ({ nodeId: 'c' }) })).toEqual([
    true,
    '10.0.0.1',
    '10.0.0.2',
    '10.1.0.2',
  ]);
  expect(peersOf('a', { keepers: () => ['a'], keepersRecord: () => ({ learners: ['d'] }) })).toEqual([
    true,
    '10.0.0.4',
  ]);
});

test('where etcd is the user’s own, the last host with the key that is heard is named, with what to do', () => {
  const nodes = [
    node('a', { joinedAt: 1 }),
    node('b', { joinedAt: 2 }),
    node('c', { joinedAt: 3 }),
    node('d', { joinedAt: 4 }),
  ];
  const said = { keepers: undefined, cluster: undefined };
  const heard = (...of: string[]) => lastKeyProblem(nodes, said, (id) => of.includes(id));
  expect(heard('a', 'b', 'd')).toBeUndefined();
  expect(heard('b', 'd')).toMatch(/^b alone can use the CA's key now \(a and c not heard\).*identity\.json/);
  expect(heard('d')).toBeUndefined();
  expect(lastKeyProblem(nodes.slice(0, 1), said, () => true)).toMatch(/no other host has it.*let another host join/);
  // Of a bundled one the others have a copy, or the vote, and the key with it.
  expect(lastKeyProblem(nodes, { ...said, keepers: ['a'] }, () => true)).toBeUndefined();
  expect(lastKeyProblem([node('a', { holdsStore: true })], said, () => true)).toBeUndefined();
});

test.each([
  [undefined, ['a'], false],
  [1, ['a'], false],
  [3, ['a'], true],
  [3, ['a', 'b', 'c'], false],
  [3, undefined, true],
])('of %s wanted hosts %j keep the store: more are wanted is %s', (storeMembers, keepers, lacks) => {
  const cluster = clusterRecord(storeMembers === undefined ? {} : { storeMembers });
  expect(lacksKeepers({ keepers: () => keepers, cluster: () => cluster })).toBe(lacks);
});
