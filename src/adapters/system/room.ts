/** How much room there is: on a disk, and in the kernel's tables of neighbours. */
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiskRoom, NeighbourOverflows } from '../../core/diagnosis.ts';

export async function diskRoom(path: string): Promise<DiskRoom> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

/** The kernel tells it in the namespace that it started with, and in no other one. */
export async function neighbourOverflows(directory = '/proc/net/stat'): Promise<NeighbourOverflows> {
  const of = async (table: string) => {
    try {
      return overflowsOf(await readFile(join(directory, table), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };
  return { ipv4: await of('arp_cache'), ipv6: await of('ndisc_cache') };
}

/** Of the file's text: a line of headings, and one of hexadecimal numbers for each processor. */
export function overflowsOf(text: string): number | undefined {
  const [headings = '', ...rows] = text.trim().split('\n');
  const at = headings.trim().split(/\s+/).indexOf('table_fulls');
  if (at < 0) return undefined;
  return rows.reduce((sum, row) => sum + Number.parseInt(row.trim().split(/\s+/)[at] ?? '0', 16), 0);
}
