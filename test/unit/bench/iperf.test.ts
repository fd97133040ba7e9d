import { expect, test } from 'vitest';
import { busySeconds, readThroughput } from '../../bench/iperf.ts';

test('throughput is of what arrived, processor time of the whole machine', () => {
  const report = JSON.stringify({ end: { sum_received: { bits_per_second: 8e9, bytes: 2e9 } } }, null, 2);
  const output = `cpu  100 0 100 5000 50 0 10 7 0 0\n${report}\ncpu  150 0 200 9000 90 10 50 9 0 0\n`;
  expect(readThroughput(output)).toEqual({ rate: 8, cpu: 1 });
});

test('processor time leaves out idling and waiting', () => {
  expect(busySeconds('cpu  100 0 100 5000 50 0 10 7 0 0', 'cpu  150 0 200 9000 90 10 50 9 0 0')).toBe(2);
});
