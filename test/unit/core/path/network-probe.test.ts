import { expect, test } from 'vitest';
import {
  decodeNetworkProbe,
  encodeFrame,
  encodeNetworkProbe,
  type NetworkProbe,
  networkPayloadOf,
} from '../../../../src/core/path/network-probe.ts';
import { decodeProbe } from '../../../../src/core/path/probe.ts';

const PROBE: NetworkProbe = {
  ...{ kind: 'receipt', number: 4_000_000_000, vni: 0xff_fffe, nodeId: '0c11223344556677'.repeat(2) },
  ...{ listens: true, heard: false, bytes: 1_422 },
};

test('a packet says what was written, and is none of those of the path', () => {
  expect(decodeNetworkProbe(encodeNetworkProbe(PROBE))).toEqual(PROBE);
  const ask = { ...PROBE, kind: 'ask' as const, listens: false, heard: true, bytes: 32 };
  expect(decodeNetworkProbe(encodeNetworkProbe(ask))).toEqual(ask);
  expect(decodeProbe(encodeNetworkProbe(PROBE))).toBeUndefined();
});

test('what is cut short, of another version or another protocol is none', () => {
  const bytes = encodeNetworkProbe(PROBE);
  expect(decodeNetworkProbe(bytes.subarray(0, 31))).toBeUndefined();
  for (const at of [0, 4, 5]) expect(decodeNetworkProbe(bytes.with(at, 9))).toBeUndefined();
});

test('a frame is as large as the MTU, from a MAC of the host and with a right checksum', () => {
  const payload = encodeNetworkProbe({ ...PROBE, bytes: networkPayloadOf(1_450) });
  const frame = encodeFrame('02:42:0a:00:00:05', PROBE.nodeId, payload);
  expect(frame).toHaveLength(14 + 1_450);
  const hex = Buffer.from(frame.subarray(0, 42)).toString('hex');
  expect(hex.slice(0, 28)).toBe('02420a0000050e0c112233440800');
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += (frame[at]! << 8) | frame[at + 1]!;
  expect((sum & 0xffff) + (sum >>> 16)).toBe(0xffff);
  expect(decodeNetworkProbe(frame.subarray(42))).toEqual(PROBE);
});
