import { expect, test } from 'vitest';
import { diskRoom, overflowsOf } from '../../../../src/adapters/system/room.ts';

test('overflows are summed over processors, of hexadecimal columns by their heading', () => {
  const text = `entries  allocs   table_fulls
00000004 00000010 0000000a
00000004 00000011 00000001
`;
  expect(overflowsOf(text)).toBe(11);
  expect(overflowsOf('entries\n00000004\n')).toBeUndefined();
});

test('a disk has room, and no more than it holds', async () => {
  const { freeBytes, totalBytes } = await diskRoom(import.meta.dirname);
  expect(totalBytes).toBeGreaterThan(0);
  expect(freeBytes).toBeLessThanOrEqual(totalBytes);
});
