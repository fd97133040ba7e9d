import { expect, test } from 'vitest';
import { AddressClaims, type AddressClaimsDeps } from '../../../../src/agent/claims/address-claims.ts';
import { MOST_CONTAINERS } from '../../../../src/core/host-state.ts';
import { type EndpointRecord, firstAddress, type NetworkRecord } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../../fixtures/records.ts';

const FOUR = { cidr: '10.0.0.0/16', gateway: '10.0.0.1', auxAddresses: {} };
const SIX = { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} };
const WANTED = { name: undefined, aliases: [], ip: undefined, mac: undefined };

/** So many endpoints of this host; what a claim writes is heard of before the claim is told, which waits for `answer`. */
function host(count: number, network: NetworkRecord) {
  const endpoints = new Map<string, EndpointRecord>();
  for (let at = 0; at < count; at++) {
    const address = `10.0.${8 + (at >> 8)}.${at & 255}`;
    endpoints.set(address, endpointRecord({ id: `e${at}`, address, mac: `02:42:0a:01:${at >> 8}:${at & 255}` }));
  }
  const { promise: answer, resolve: answers } = Promise.withResolvers<void>();
  const state = {
    view: {
      unreadable: new Set(),
      addresses: () => endpoints,
      claims: () => new Map(),
      endpointsOn: () => new Set(endpoints.values()),
      endpointCount: () => new Set(endpoints.values()).size,
      quarantine: () => new Map(),
      node: () => ({ left: false }),
      network: () => network,
    },
    revisionOf: () => 1,
    entryOf: () => undefined,
  };
  const deps = {
    store: { get: async () => undefined },
    commit: async (_: unknown, changes: readonly { record?: EndpointRecord }[]) => {
      const record = changes[0]!.record!;
      for (const { ip } of record.addresses) endpoints.set(ip, record);
      await answer;
      return { told: Promise.resolve() };
    },
    state,
    clock: { now: () => 0, sleep: async () => undefined },
    random: { next: () => 0, hex: (length: number) => `${endpoints.size}`.padStart(length, '0') },
    releases: { abandon: async () => true, settle: async () => undefined },
  };
  return {
    claims: new AddressClaims(deps as unknown as AddressClaimsDeps, { selfId: 'h1', quarantineSeconds: 60 }),
    answers,
  };
}

test.each([
  ['IPv4', [FOUR]],
  ['IPv6', [SIX]],
  ['both families', [FOUR, SIX]],
])(
  'the last container that a network of %s can have here is not refused for one that is heard of before it is told',
  async (_, subnets) => {
    const network = networkRecord({ subnets });
    const { claims, answers } = host(MOST_CONTAINERS - 2, network);
    const both = [claims.claim(network, WANTED), claims.claim(network, WANTED)];
    answers();
    expect(new Set((await Promise.all(both)).map(({ record }) => firstAddress(record))).size).toBe(2);
    await expect(claims.claim(network, WANTED)).rejects.toMatchObject({ code: 'network-full' });
  },
);
