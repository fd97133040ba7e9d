import { expect, test } from 'vitest';
import { foundLink } from '../../../../src/agent/endpoints/container-link.ts';
import type { NamespaceState } from '../../../../src/core/host-state.ts';

const MAC = '02:42:0a:00:01:09';
const link = (name: string, mac = MAC) => [name, { name, mac }] as const;
const inside = (addresses: readonly (readonly [link: string, address: string])[]) =>
  ({
    links: new Map([link('lo', '00:00:00:00:00:00'), link('eth0'), link('eth1')]),
    addresses: addresses.map(([name, address]) => ({ link: name, address, prefix: 24 })),
  }) as unknown as NamespaceState;
const record = (ip: string, mac = MAC) => ({ mac, addresses: [{ ip, subnet: '10.0.1.0/24' }] });

test('of two links with one MAC it is the one that has the address', () => {
  const both = inside([
    ['eth0', '10.0.0.2'],
    ['eth1', '10.0.1.9'],
  ]);
  expect(foundLink(both, record('10.0.0.2'))).toBe('eth0');
  expect(foundLink(both, record('10.0.1.9'))).toBe('eth1');
});

test('one that has no address yet is known by its MAC', () => {
  expect(foundLink(inside([]), record('10.0.1.9'))).toBe('eth0');
  expect(foundLink(inside([]), record('10.0.1.9', '02:00:00:00:00:01'))).toBeUndefined();
});
