/**
 * Small files that others may have put where we look. What is no plain file is not opened: a pipe would be waited for, a device would do
 * something, a link would lead out of a container. What is larger than such files are is not read.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
/** Of a resolver's file. */
const MOST_BYTES = 64 * 1024;

/** `absent`: there is none. `other`: what is there is nothing to read or to write over. */
export type PlainFile =
  | { readonly kind: 'absent' }
  | { readonly kind: 'other' }
  | { readonly kind: 'text'; readonly text: string };

/** Follows links: for directories that are the host's own. In one piece: the kernel has a few bytes in memory. */
export function readPlainFile(path: string, mostBytes = MOST_BYTES): PlainFile {
  try {
    if (!isPlain(statSync(path), mostBytes)) return { kind: 'other' };
    // It may be another one by now.
    const file = openSync(path, O_RDONLY | O_NONBLOCK);
    try {
      const found = fstatSync(file);
      if (!isPlain(found, mostBytes)) return { kind: 'other' };
      const bytes = Buffer.alloc(found.size);
      return { kind: 'text', text: bytes.toString('utf8', 0, readSync(file, bytes, 0, found.size, 0)) };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return isAbsent(error) ? { kind: 'absent' } : { kind: 'other' };
  }
}

/** What a container has as that file of that directory, itself no link, below its root. It is not opened. */
export function kindInside(root: string, directory: string, name: string): 'absent' | 'plain' | 'other' {
  try {
    const within = openSync(`${root}/${directory}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      return isPlain(lstatSync(`/proc/self/fd/${within}/${name}`)) ? 'plain' : 'other';
    } finally {
      closeSync(within);
    }
  } catch (error) {
    return isAbsent(error) ? 'absent' : 'other';
  }
}

function isPlain(found: Stats, mostBytes = MOST_BYTES): boolean {
  return found.isFile() && found.size <= mostBytes;
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
