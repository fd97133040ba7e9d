import { expect, test } from 'vitest';
import {
  formatHostEnd,
  isSameHostEnd,
  parseHostEnd,
  parsePublication,
  publicationsOf,
} from '../../../src/core/publish.ts';
import type { EndpointRecord } from '../../../src/core/records.ts';

test.each([
  ['8080:web/api:80', { protocol: 'tcp', hostPort: 8080, network: 'web', name: 'api', port: 80 }],
  ['192.0.2.1:53:web/dns:53/UDP', { protocol: 'udp', hostAddress: '192.0.2.1', hostPort: 53, name: 'dns', port: 53 }],
  ['[2001:DB8::1]:443:web/proxy:8443', { hostAddress: '2001:db8::1', hostPort: 443, port: 8443 }],
])('%s is understood', (text, expected) => {
  expect(parsePublication(text)).toMatchObject(expected);
});

test('the address of all is none', () => {
  expect(parsePublication('0.0.0.0:80:web/api:80')).not.toHaveProperty('hostAddress');
  expect(parsePublication('[::]:80:web/api:80')).not.toHaveProperty('hostAddress');
});

test.each([
  '',
  '80',
  '80:web:80',
  '0:web/api:80',
  '80:web/api:65536',
  '80:web/api:80/',
  '1.2.3:80:web/api:80',
  '80:web/a/b:80',
])('%j is refused with how it is written', (text) => {
  expect(() => parsePublication(text)).toThrow(/like 8080:web\/api:80|no address/);
});

test.each([
  ['8080', '8080/tcp'],
  ['8080/udp', '8080/udp'],
  ['192.0.2.1:53/udp', '192.0.2.1:53/udp'],
  ['[2001:db8::1]:443', '[2001:db8::1]:443/tcp'],
  ['8080:web/api:80/udp', '8080/udp'],
])('%s means the host’s %s', (text, end) => {
  expect(formatHostEnd(parseHostEnd(text))).toBe(end);
});

test('an address takes what all addresses take, and the other way round; other protocols and ports do not', () => {
  const ends = (a: string, b: string) => isSameHostEnd(parseHostEnd(a), parseHostEnd(b));
  expect(ends('80', '192.0.2.1:80')).toBe(true);
  expect(ends('192.0.2.1:80', '192.0.2.2:80')).toBe(false);
  expect(ends('80', '80/udp')).toBe(false);
  expect(ends('80', '81')).toBe(false);
});

const record = (id: string, createdAt: number, ips: readonly string[], name = id) =>
  ({
    id,
    name,
    aliases: ['shared'],
    networkId: 'n',
    createdAt,
    addresses: ips.map((ip) => ({ subnet: '', ip })),
  }) as unknown as EndpointRecord;
const publishable = (of: EndpointRecord, more: object = {}) => ({
  ...{ record: of, addresses: of.addresses, routed: { 4: true, 6: true } },
  ...more,
});
const mapping = { protocol: 'tcp', hostPort: 80, port: 8080 } as const;

test('a name leads to the oldest container here that goes by it, by each family that it answers by', () => {
  const old = publishable(record('old', 1, ['10.0.0.2', 'fd00::2']), { routed: { 4: true, 6: false } });
  const young = publishable(record('young', 2, ['10.0.0.3', 'fd00::3']));
  const found = publicationsOf([young, old], [{ ...mapping, networkId: 'n', name: 'Shared' }]);
  expect(found.map(({ address }) => address)).toEqual(['10.0.0.2', 'fd00::3']);
});

test('an address of the host leads by its own family alone', () => {
  const both = publishable(record('a', 1, ['10.0.0.2', 'fd00::2']), {
    published: [{ ...mapping, hostAddress: '2001:db8::1' }],
  });
  expect(publicationsOf([both], []).map(({ address }) => address)).toEqual(['fd00::2']);
});

test('of ports of one number those count that do not take each other’s packets, the older first', () => {
  const at = (hostAddress?: string, protocol: 'tcp' | 'udp' = 'tcp') => ({ ...mapping, protocol, hostAddress });
  const all = [
    publishable(record('a', 1, ['10.0.0.2']), { published: [at('192.0.2.1'), at('192.0.2.2')] }),
    publishable(record('b', 2, ['10.0.0.3']), { published: [at(), at('192.0.2.3'), at(undefined, 'udp')] }),
  ];
  const found = publicationsOf(all, []).map(({ protocol, hostAddress, address }) => [protocol, hostAddress, address]);
  expect(found).toEqual([
    ['tcp', '192.0.2.1', '10.0.0.2'],
    ['tcp', '192.0.2.2', '10.0.0.2'],
    ['tcp', '192.0.2.3', '10.0.0.3'],
    ['udp', undefined, '10.0.0.3'],
  ]);
});

test('what a tool asks for at each network of a container leads to the one that has its default route', () => {
  const aside = publishable(record('a', 1, ['10.0.0.2']), { published: [mapping], routed: { 4: false, 6: false } });
  const way = publishable(record('b', 2, ['10.0.1.2']), { published: [mapping] });
  expect(publicationsOf([aside, way], []).map(({ address }) => address)).toEqual(['10.0.1.2']);
});
