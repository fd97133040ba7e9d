/** Where nodes ask the store. */
import { expect, it } from 'vitest';
import { storeEndpoints } from '../../../src/core/store-members.ts';
import { nodeRecord } from '../../fixtures/records.ts';

const key = (number: number) => ({ publicKey: `${'A'.repeat(43)}=`, number, port: 51_840 });
const keeper = nodeRecord({
  ...{ id: '0a', name: 'h1', advertiseAddress: '203.0.113.1' },
  wireguard: { backend: 'kernel', keys: [key(7), key(258)] },
});
const other = nodeRecord({ id: '0b', name: 'h2', advertiseAddress: '203.0.113.2' });
const behind = nodeRecord({ id: '0c', name: 'h3', advertiseAddress: '192.168.1.2', nat: true });
const nodes = [keeper, other, behind];

it('is asked at its address by who reaches it, and inside of the tunnel first by who is behind NAT', () => {
  expect(storeEndpoints(other, ['0a'], nodes)).toEqual(['https://203.0.113.1:2379']);
  expect(storeEndpoints(behind, ['0a'], nodes)).toEqual([
    'https://198.19.0.7:2379',
    'https://198.19.1.2:2379',
    'https://203.0.113.1:2379',
  ]);
  // One that offers no tunnel.
  expect(storeEndpoints(behind, ['0b'], nodes)).toEqual(['https://203.0.113.2:2379']);
});

it('is asked at the own host first, and by nobody where it is not known who keeps it', () => {
  expect(storeEndpoints(other, ['0a', '0b'], nodes)?.[0]).toBe('https://203.0.113.2:2379');
  expect(storeEndpoints(other, undefined, nodes)).toBeUndefined();
});

it('is asked at the own host where that is now, though the record says otherwise yet', () => {
  const moved = { ...other, advertiseAddress: '203.0.113.22' };
  expect(storeEndpoints(moved, ['0b'], nodes)).toEqual(['https://203.0.113.22:2379']);
});
