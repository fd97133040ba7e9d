import { expect, test } from 'vitest';
import { updateNode } from '../../../../src/agent/cluster/node-update.ts';
import { getNode, isSelf } from '../../../../src/agent/cluster/nodes.ts';
import { committing } from '../../../../src/agent/view/commit.ts';
import { decodeNode, encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, type NodeRecord } from '../../../../src/core/records.ts';
import { nodeRecord } from '../../../fixtures/records.ts';
import { MemoryEtcd } from '../../../sim/memory-store.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { recordingLogger } from './cluster-fixture.ts';

function clusterOf(...nodes: readonly NodeRecord[]) {
  const clock = new VirtualClock();
  const etcd = new MemoryEtcd({ clock });
  for (const node of nodes) {
    etcd.txn(
      [],
      [
        { kind: 'put', key: keys.node(node.id), value: encodeRecord(node) },
        { kind: 'put', key: keys.nodeName(node.name), value: node.id },
      ],
    );
  }
  const store = etcd.store('n1');
  const admitted: string[] = [];
  const deps = {
    store,
    commit: committing({ store, learn: () => undefined, push: () => undefined } as never),
    users: { admit: async ({ id, name }: { id: string; name: string }) => void admitted.push(`${id} ${name}`) },
    logger: recordingLogger([]),
  };
  const update = (ref: string, what: Partial<Parameters<typeof updateNode>[1]>) =>
    clock.until(updateNode(deps, { ref, labels: {}, labelsRemoved: [], name: '', ...what }, 'n1'));
  const read = async (key: string) => (await clock.until(store.get(key)))?.value;
  const node = async (id: string) => decodeNode((await read(keys.node(id)))!)!;
  return { admitted, clock, deps, node, read, store, update };
}

const [one, two] = [
  nodeRecord({ id: 'n1', name: 'host1' }),
  nodeRecord({ id: 'n2', name: 'host2', labels: { a: '1', b: '2' } }),
];

test('labels are set, replaced and taken away, and nothing else of the record is another', async () => {
  const { node, update } = clusterOf(one, two);
  expect(await update('host2', { labels: { b: '3', c: '' }, labelsRemoved: ['a'] })).toBe('n2');
  expect(await node('n2')).toEqual({ ...two, labels: { b: '3', c: '' } });
});

test('labels that are too many are refused, and of those from before some can be taken away', async () => {
  const many = nodeRecord({ id: 'n2', name: 'host2', labels: { big: 'x'.repeat(9_000), a: '1' } });
  const { node, update } = clusterOf(one, many);
  await expect(update('host1', { labels: { big: 'x'.repeat(9_000) } })).rejects.toThrow('a node has at most 32 labels');
  await expect(update('host2', { labels: { b: '2' } })).rejects.toThrow('a node has at most 32 labels');
  await update('host2', { labelsRemoved: ['a'] });
  expect(Object.keys((await node('n2')).labels)).toEqual(['big']);
});

test('a name is claimed, the old one free again, and rights follow', async () => {
  const { admitted, node, read, update } = clusterOf(one, two);
  await update('host2', { name: 'db1' });
  expect(await node('n2')).toEqual({ ...two, name: 'db1' });
  expect([await read(keys.nodeName('host2')), await read(keys.nodeName('db1'))]).toEqual([undefined, 'n2']);
  expect(admitted).toEqual(['n2 db1']);
  await update('db1', { name: 'host2' });
  expect(await read(keys.nodeName('host2'))).toBe('n2');
});

test.each([
  ['host2', { name: 'host1' }, 'node-name-taken', /the name host1 is taken by node n1/],
  ['host2', { name: 'a b' }, 'invalid-name', /node name "a b" is not valid/],
  ['host2', { labelsRemoved: ['x'] }, 'invalid-argument', /has no label x; its labels: a, b/],
  ['host1', { labelsRemoved: ['x'] }, 'invalid-argument', /its labels: none/],
  ['host9', { name: 'x' }, 'node-not-found', /host9 not found/],
  ['gone', { name: 'x' }, 'invalid-argument', /node gone has left the cluster/],
] as const)('%s with %o is refused', async (ref, what, code, message) => {
  const { node, update } = clusterOf(one, two, nodeRecord({ id: 'n3', name: 'gone', left: true }));
  const failed = update(ref, what);
  await expect(failed).rejects.toMatchObject({ code });
  await expect(failed).rejects.toThrow(message);
  expect(await node('n2')).toEqual(two);
});

test('what the node itself writes meanwhile stays, and so does a name that was taken meanwhile', async () => {
  const { clock, deps, node, store } = clusterOf(one, two);
  const put = (key: string, value: string) => store.txn([], [{ kind: 'put', key, value }]);
  let before: (() => Promise<unknown>) | undefined = () =>
    put(keys.node('n2'), encodeRecord({ ...two, underlayMtu: 1_400 }));
  const raced: typeof deps.commit = async (...args) => {
    await before?.();
    before = undefined;
    return deps.commit(...args);
  };
  const update = { ref: 'host2', labels: { c: '4' }, labelsRemoved: [], name: 'db1' };
  await clock.until(updateNode({ ...deps, commit: raced }, update, 'n1'));
  expect(await node('n2')).toMatchObject({ name: 'db1', underlayMtu: 1_400, labels: { a: '1', b: '2', c: '4' } });
  before = () =>
    put(keys.node('n4'), encodeRecord(nodeRecord({ id: 'n4', name: 'db2' }))).then(() =>
      put(keys.nodeName('db2'), 'n4'),
    );
  const late = clock.until(updateNode({ ...deps, commit: raced }, { ...update, ref: 'db1', name: 'db2' }, 'n1'));
  await expect(late).rejects.toMatchObject({ code: 'node-name-taken' });
});

test('self is the node that is asked, where none has that name', () => {
  const view = (nodes: NodeRecord[]) =>
    ({ nodes: () => nodes, endpointCount: () => 0, keepers: () => undefined, keepersRecord: () => undefined }) as never;
  const deps = { liveness: () => 'ready', selfId: 'n2', clock: { now: () => 0 }, access: { bundled: false } } as never;
  const get = (nodes: NodeRecord[]) =>
    getNode({ ...(deps as object), view: () => view(nodes) } as never, 'self').record.id;
  expect(get([one, two])).toBe('n2');
  expect(get([{ ...one, name: 'self' }, two])).toBe('n1');
  expect([isSelf([one], 'self'), isSelf([one], 'host1')]).toEqual([true, false]);
});
