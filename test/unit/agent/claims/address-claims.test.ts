import { expect, test } from 'vitest';
import { AddressClaims, type AddressClaimsDeps } from '../../../../src/agent/claims/address-claims.ts';
import { MOST_CONTAINERS } from '../../../../src/core/host-state.ts';
import { type EndpointRecord, firstAddress } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../../fixtures/records.ts';

const NETWORK = networkRecord({ subnets: [{ cidr: '10.0.0.0/16', gateway: '10.0.0.1', auxAddresses: {} }] });
const WANTED = { name: undefined, aliases: [], ip: undefined, mac: undefined };

/** So many endpoints of this host; what a claim writes is heard of before the claim is told, which waits for `answer`. */
function host(count: number) {
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
      endpointsOf: () => new Map([...endpoints.values()].map((record) => [record.id, record])),
      quarantine: () => new Map(),
      node: () => ({ left: false }),
      network: () => NETWORK,
    },
    revisionOf: () => 1,
    entryOf: () => undefined,
  };
  const deps = {
    store: { get: async () => undefined },
    commit: async (_: unknown, changes: readonly { record?: EndpointRecord }[]) => {
      const record = changes[0]!.record!;
      endpoints.set(firstAddress(record), record);
      await answer;
      return { told: Promise.resolve() };
    },
    state,
    clock: { now: () => 0, sleep: async () => undefined },
    random: { next: () => 0, hex: (length: number) => `${endpoints.size}`.padStart(length, '0') },
    abandon: () => undefined,
  };
  return { claims: new AddressClaims(deps as unknown as AddressClaimsDeps, { selfId: 'h1' }), answers };
}

test('the last container that a network can have here is not refused for one that is heard of before it is told', async () => {
  const { claims, answers } = host(MOST_CONTAINERS - 2);
  const both = [claims.claim(NETWORK, WANTED), claims.claim(NETWORK, WANTED)];
  answers();
  expect(new Set((await Promise.all(both)).map(({ record }) => firstAddress(record))).size).toBe(2);
  await expect(claims.claim(NETWORK, WANTED)).rejects.toMatchObject({ code: 'network-full' });
});
