/** How much room there is: on a disk, and in the kernel's table of neighbours. */
import { readFile, statfs } from 'node:fs/promises';
import type { DiskRoom } from '../../core/diagnosis.ts';

export async function diskRoom(path: string): Promise<DiskRoom> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

/** How often since the host's start a neighbour found no place; undefined where the kernel does not tell. */
export async function neighbourOverflows(): Promise<number | undefined> {
  try {
    return overflowsOf(await readFile('/proc/net/stat/arp_cache', 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Of the file's text: a line of headings, and one of hexadecimal numbers for each processor. */
export function overflowsOf(text: string): number | undefined {
  const [headings = '', ...rows] = text.trim().split('\n');
  const at = headings.trim().split(/\s+/).indexOf('table_fulls');
  if (at < 0) return undefined;
  return rows.reduce((sum, row) => sum + Number.parseInt(row.trim().split(/\s+/)[at] ?? '0', 16), 0);
}
