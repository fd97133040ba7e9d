import { expect, test } from 'vitest';
import type { AskedDrift } from '../../../../src/agent/drift/cluster-drift.ts';
import { driftHandlers } from '../../../../src/integrations/control/drift-handlers.ts';

test('self is this host, as wherever a node is named', async () => {
  const asked: AskedDrift[] = [];
  const find = async (query: AskedDrift) => void asked.push(query);
  const { findDrift } = driftHandlers({ drift: { find } }, (ref) => (ref === 'self' ? 'id-h1' : ref));
  for (const node of ['self', 'h2', '']) {
    await findDrift({ network: 'web', node, repair: false }, async () => {}, new AbortController().signal);
  }
  expect(asked.map(({ network, node }) => `${network} ${node}`)).toEqual(['web id-h1', 'web h2', 'web ']);
});
