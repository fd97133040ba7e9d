import { expect, test } from 'vitest';
import { requireKeyElsewhere } from '../../../../src/agent/cluster/key-elsewhere.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, type NodeRecord } from '../../../../src/core/records.ts';
import { clusterRecord, nodeRecord } from '../../../fixtures/records.ts';
import { toldView } from '../../../fixtures/told-view.ts';

const node = (id: string, parts: Partial<NodeRecord> = {}) =>
  nodeRecord({ id, name: id, vtep: `192.0.2.${id.slice(1)}`, ...parts });

/** Asked of which method; `level`: of the cluster. */
function leaving(nodes: readonly NodeRecord[], { level = 4, caKey = 'key' as string | undefined } = {}) {
  const { view, tell } = toldView();
  tell([
    { key: keys.cluster, value: encodeRecord(clusterRecord({ level })) },
    ...nodes.map((record) => ({ key: keys.node(record.id), value: encodeRecord(record) })),
  ]);
  const asked: string[] = [];
  const keepers = {
    async askOthers(method: string) {
      asked.push(method);
      throw new OverlaydError('keeper-unreachable', 'none', { retryable: true });
    },
  };
  const identity = { nodeId: 'n1', advertiseAddress: '192.0.2.1', key: 'pem', ...(caKey && { caKey }) };
  const deps = { identity, keepers, pki: { createCsr: async () => 'csr' }, view };
  return { asked, required: requireKeyElsewhere(deps as never) };
}

test('another keeper has to sign before the key goes with its host', async () => {
  const { asked, required } = leaving([node('n1'), node('n2')]);
  await expect(required).rejects.toMatchObject({ code: 'keeper-unreachable' });
  expect(asked).toEqual(['renew']);
});

test.each([
  ['has no key', [node('n1'), node('n2')], { caKey: '' }],
  ['is of a cluster where every member has it', [node('n1'), node('n2')], { level: 3 }],
  ['is the last one', [node('n1'), node('n2', { left: true })], {}],
  ['has begun to leave before', [node('n1', { left: true }), node('n2')], {}],
  ['was removed', [node('n2')], {}],
])('nobody is asked by a host that %s', async (_, nodes, options) => {
  const { asked, required } = leaving(nodes, options);
  await required;
  expect(asked).toEqual([]);
});
