import { expect, test } from 'vitest';
import { checkOptions } from '../../../../src/core/network-options.ts';
import {
  decodeProbe,
  encodeProbe,
  LEAST_BYTES,
  PROBE_PLACES,
  PROBE_VNI,
  type Probe,
  packetOf,
  payloadOf,
  placeOps,
  probeMac,
  wayOps,
} from '../../../../src/core/path/probe.ts';
import { tunnelEndOf } from '../../../../src/core/underlay.ts';

const PROBE: Probe = {
  ...{ kind: 'ask', number: 4_000_000_000, nodeId: '0c11223344556677'.repeat(2) },
  ...{ now: 1_900_000_000_000, bytes: 1_422 },
};

test('a packet says what was written, at any size', () => {
  expect(decodeProbe(encodeProbe(PROBE))).toEqual(PROBE);
  const answer: Probe = { ...PROBE, kind: 'answer', bytes: LEAST_BYTES };
  expect(decodeProbe(encodeProbe(answer))).toEqual(answer);
});

test('what is cut short, of another version or another protocol is none', () => {
  const bytes = encodeProbe(PROBE);
  expect(decodeProbe(bytes.subarray(0, LEAST_BYTES - 1))).toBeUndefined();
  for (const at of [0, 4, 5]) expect(decodeProbe(bytes.with(at, 9))).toBeUndefined();
});

test('a payload fills a packet of the MTU', () => {
  expect(payloadOf(1_450, 4)).toBe(1_422);
  expect(packetOf(payloadOf(1_450, 4), 4)).toBe(1_450);
  expect(packetOf(payloadOf(1_430, 6), 6)).toBe(1_430);
  expect(payloadOf(10, 4)).toBe(LEAST_BYTES);
});

test('the device is bound as those of networks are, and the way to a member leads to its tunnel end', () => {
  const self = { id: 'aabbccddee00'.padEnd(32, '0'), vtep: '10.0.0.1', dataPathPort: 4_789 };
  const member = { id: '112233445566'.padEnd(32, '0'), address: '10.0.0.2', remote: '10.0.0.2', port: 4_790 };
  const at = PROBE_PLACES.plain;
  const end = tunnelEndOf('plain', self);
  const ops = placeOps(at, { id: self.id, address: self.vtep }, end, 1_450).flat();
  expect(ops).toContainEqual(
    expect.objectContaining({
      ...{ kind: 'add-vxlan', mtu: 1_450, mac: '0e:aa:bb:cc:dd:ee' },
      vxlan: expect.objectContaining({ local: '10.0.0.1', port: 4_789, learning: false }),
    }),
  );
  expect(wayOps(at, member, true)).toEqual([
    expect.objectContaining({
      kind: 'set-fdb',
      row: { link: 'vx0', mac: probeMac(member.id), vtep: '10.0.0.2', port: 4_790 },
    }),
    expect.objectContaining({ kind: 'set-neighbour' }),
  ]);
  expect(wayOps(at, member, false).map(({ kind }) => kind)).toEqual(['delete-neighbour', 'delete-fdb']);
});

test('no network can choose the VNI', () => {
  expect(() => checkOptions({ vxlanid_list: '1' }, { internal: false })).not.toThrow();
  expect(() => checkOptions({ vxlanid_list: String(PROBE_VNI) }, { internal: false })).toThrow(/vxlanid_list/);
});
