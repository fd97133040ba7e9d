import { expect, test } from 'vitest';
import { type Identity, parseIdentity, renderIdentity } from '../../../../src/agent/cluster/identity.ts';

const IDENTITY: Identity = {
  ...{ version: 1, phase: 'member', clusterId: 'c', nodeId: 'n1', name: 'h1', vtep: '10.0.0.1' },
  ...{ advertiseAddress: '10.0.0.1', listenAddress: '0.0.0.0', joinPort: 2377, gossipPort: 7946, dataPathPort: 4789 },
  ...{ key: 'key', certificate: 'certificate', caCertificate: 'ca' },
  store: { endpoints: ['https://10.0.0.1:2379'], caCertificate: '', certificate: '', key: '', bundled: true },
};

test('a member without the key of the CA has an empty one in its file, which agents of before can read', () => {
  const text = renderIdentity(IDENTITY);
  expect(JSON.parse(text)).toMatchObject({ caKey: '' });
  expect(parseIdentity(JSON.parse(text))).toEqual(IDENTITY);
  const keeper = { ...IDENTITY, caKey: 'secret' };
  expect(parseIdentity(JSON.parse(renderIdentity(keeper)))).toEqual(keeper);
});
