import { describe, expect, it } from 'vitest';
import {
  decodeCluster,
  decodeEndpoint,
  decodeNetwork,
  decodeNode,
  encodeRecord,
} from '../../../src/core/record-codec.ts';
import type { NodeRecord, SubnetSpec } from '../../../src/core/records.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../fixtures/records.ts';

const FOUR: SubnetSpec = { cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} };
const SIX: SubnetSpec = { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} };

const isRead = (...subnets: SubnetSpec[]) => decodeNetwork(encodeRecord(networkRecord({ subnets }))) !== undefined;

describe('a network’s record', () => {
  it('has subnets of either family', () => {
    for (const subnets of [[FOUR], [SIX], [FOUR, SIX], [SIX, FOUR, { ...SIX, cidr: 'fd00:2::/64' }]]) {
      expect(isRead(...subnets)).toBe(true);
    }
    expect(isRead({ ...SIX, ipRange: 'fd00:1::80/121', auxAddresses: { printer: 'fd00:1::9' } })).toBe(true);
  });

  it('is not read without a subnet', () => {
    expect(isRead()).toBe(false);
  });

  it.each<[string, Partial<SubnetSpec>]>([
    ['a gateway', { gateway: '10.0.1.1' }],
    ['a range', { ipRange: '10.0.1.0/25' }],
    ['a reserved address', { auxAddresses: { printer: '10.0.1.9' } }],
    ['no gateway', { gateway: 'none' }],
    ['no block', { cidr: 'fd00:1::' }],
  ])('is not read where a subnet has %s of the other family, or that is none', (_, parts) => {
    expect(isRead({ ...SIX, ...parts })).toBe(false);
  });
});

describe('a cluster’s record', () => {
  const cluster = {
    ...{ id: 'c1', caCertificate: 'ca', pools: [{ base: '10.0.0.0/8', prefix: 24 }] },
    ...{ vniRange: [4096, 8191], createdAt: 1, level: 2 },
  };
  it.each([
    [undefined, true],
    ['fd12:3456:789a::/48', true],
    ['10.0.0.0/8', false],
    [7, false],
  ])('with the prefix %s is read: %s', (ulaPrefix, read) => {
    expect(decodeCluster(JSON.stringify({ ...cluster, ulaPrefix })) !== undefined).toBe(read);
  });
});

describe('an endpoint’s record', () => {
  it.each([
    ['10.0.1.2', true],
    ['fd00:1::2', true],
    // One address has one key, so it is written in one way.
    ['fd00:1:0::2', false],
    ['FD00:1::2', false],
    ['10.0.1.02', false],
    ['fe80::1%eth0', false],
    ['', false],
  ])('with the address "%s" is read: %s', (ip, read) => {
    const addresses = [{ subnet: 'fd00:1::/64', ip }];
    expect(decodeEndpoint(encodeRecord(endpointRecord({ addresses }))) !== undefined).toBe(read);
  });
});

describe('a node’s record', () => {
  it.each([
    ['192.0.2.1', true],
    ['2001:db8::1', true],
    ['h1', false],
    ['2001:db8::1/64', false],
  ])('with the tunnel end %s is read: %s', (vtep, read) => {
    expect(decodeNode(encodeRecord(nodeRecord({ vtep }))) !== undefined).toBe(read);
  });

  const isRead = (parts: Partial<NodeRecord>) => decodeNode(encodeRecord(nodeRecord(parts))) !== undefined;
  const key = { publicKey: `${'A'.repeat(43)}=`, number: 1, port: 51_840 };

  it('with a backend of a newer version is read', () => {
    expect(isRead({ wireguard: { backend: 'boringtun', keys: [key] } })).toBe(true);
  });

  it.each([0, -1, 65_536, 4_789.5])('is not read with %d for a port', (port) => {
    for (const name of ['gossipPort', 'joinPort', 'dataPathPort'] as const)
      expect(isRead({ [name]: port })).toBe(false);
    expect(isRead({ wireguard: { backend: 'kernel', keys: [{ ...key, port }] } })).toBe(false);
    const relays = [{ between: ['a', 'b'] as const, ports: [51_842, port] as const }];
    expect(isRead({ wireguard: { backend: 'kernel', keys: [key], relays } })).toBe(false);
  });
});
