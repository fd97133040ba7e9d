import { expect, test } from 'vitest';
import { keys, PREFIX, SUBNET_GUARD } from '../../../src/core/records.ts';
import { allowsRead, allowsWrite, MEMBER_PERMISSIONS, nodePermissions } from '../../../src/core/store-rights.ts';

const own = [...MEMBER_PERMISSIONS, ...nodePermissions({ id: 'n1', name: 'h1' })];
const may = (key: string) => allowsWrite(own, { kind: 'put', key });

test('a node writes what is its own, and what is claimed together', () => {
  const allowed = [
    ...[keys.node('n1'), keys.nodeName('h1'), keys.live('n1'), keys.endpoint({ nodeId: 'n1', id: 'e' })],
    ...[
      keys.network('n'),
      keys.networkName('web'),
      keys.networkAck('n', 'n1'),
      keys.vni(5),
      keys.subnet('10.0.0.0/24'),
    ],
    ...[keys.address('n', '10.0.0.2'), keys.mac('n', '02:00:00:00:00:01'), keys.staticNames('n'), keys.services('n')],
    ...[keys.quarantine('n', '10.0.0.2'), keys.wireguard(7), SUBNET_GUARD],
  ];
  expect(allowed.filter((key) => !may(key))).toEqual([]);
});

test('what is another node’s or the cluster’s it does not write', () => {
  const refused = [
    ...[keys.node('n2'), keys.node('n11'), keys.nodeName('h2'), keys.nodeName('h11'), keys.live('n2')],
    ...[keys.endpoint({ nodeId: 'n2', id: 'e' }), keys.endpoint({ nodeId: 'n11', id: 'e' })],
    ...[keys.cluster, keys.token('t'), keys.storeChange, keys.storeGate, keys.storeKeepers, '/other'],
  ];
  expect(refused.filter(may)).toEqual([]);
});

test('deleting by prefix needs all of the prefix', () => {
  const deletes = (prefix: string) => allowsWrite(own, { kind: 'delete-prefix', prefix });
  expect([keys.endpointsOf('n1'), keys.networkAcks('n'), `${PREFIX}macs/`].every(deletes)).toBe(true);
  expect([keys.endpoints, PREFIX, keys.node('n1')].some(deletes)).toBe(false);
});

test('reads all of overlayd’s, and nothing else', () => {
  expect(allowsRead(own, PREFIX, true)).toBe(true);
  expect(allowsRead(own, keys.tokens, true)).toBe(true);
  expect(allowsRead(own, '/', true)).toBe(false);
  expect(allowsRead(own, '/secret', false)).toBe(false);
});

test('all kinds of records are somebody’s', () => {
  const kinds = new Set(
    Object.values(keys).map(
      (key) => (typeof key === 'string' ? key : key('x' as never, 'y')).slice(PREFIX.length).split('/')[0],
    ),
  );
  const writable = new Set(
    own.filter(({ may }) => may === 'write').map(({ key }) => key.slice(PREFIX.length).split('/')[0]),
  );
  expect([...kinds].filter((kind) => !writable.has(kind)).sort()).toEqual([
    'certificates',
    'cluster',
    'store',
    'tokens',
  ]);
});
