import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { diskRoom, neighbourOverflows, overflowsOf } from '../../../../src/adapters/system/room.ts';

test('overflows are summed over processors, of hexadecimal columns by their heading', () => {
  const text = `entries  allocs   table_fulls
00000004 00000010 0000000a
00000004 00000011 00000001
`;
  expect(overflowsOf(text)).toBe(11);
  expect(overflowsOf('entries\n00000004\n')).toBeUndefined();
});

test('of a table that the kernel does not tell of nothing is known', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'overlayd-room-'));
  writeFileSync(join(directory, 'ndisc_cache'), 'entries table_fulls\n00000004 00000002\n');
  expect(await neighbourOverflows(directory)).toEqual({ ipv4: undefined, ipv6: 2 });
  rmSync(directory, { recursive: true });
});

test('a disk has room, and no more than it holds', async () => {
  const { freeBytes, totalBytes } = await diskRoom(import.meta.dirname);
  expect(totalBytes).toBeGreaterThan(0);
  expect(freeBytes).toBeLessThanOrEqual(totalBytes);
});
