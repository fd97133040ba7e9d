/**
 * A file of lines that grows (`LineFile`). Of one that somebody let grow without end the last part is read. A line that a crash
 * cut off ends where the next one is appended. Mode 0600.
 */
import { appendFile, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OverlaydError } from '../core/errors.ts';
import type { LineFile } from '../ports/files.ts';

const MOST_READ_BYTES = 8 * 1024 * 1024;
const MODE = 0o600;

export function createLineFile(path: string): LineFile {
  /** Whether the file may end in the middle of a line. */
  let isTorn = true;
  const made = `${path}.new`;
  return {
    load: () => tried(path, 'read', () => readEnd(path)),
    append: (lines) =>
      tried(path, 'written', async () => {
        if (lines.length === 0) return;
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        const before = isTorn ? '\n' : '';
        // On a full disk a part of it may get there.
        isTorn = true;
        await appendFile(path, `${before}${lines.join('\n')}\n`, { mode: MODE });
        isTorn = false;
      }),
    replace: (lines) =>
      tried(path, 'written', async () => {
        const file = await open(made, 'w', MODE);
        try {
          await file.writeFile(lines.map((line) => `${line}\n`).join(''));
          // Rare, and what was there before must not be lost for a file without any.
          await file.datasync();
        } finally {
          await file.close();
        }
        await rename(made, path);
        isTorn = false;
      }),
    remove: async () => {
      await rm(path, { force: true });
      await rm(made, { force: true });
    },
  };
}

async function readEnd(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return [];
  if (found.size <= MOST_READ_BYTES) return linesOf(await readFile(path, 'utf8'));
  const file = await open(path);
  try {
    const { buffer } = await file.read({
      buffer: Buffer.alloc(MOST_READ_BYTES),
      position: found.size - MOST_READ_BYTES,
    });
    return linesOf(buffer.toString('utf8'));
  } finally {
    await file.close();
  }
}

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}

async function tried<T>(path: string, verb: string, job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    const message = `${path} cannot be ${verb}: ${error instanceof Error ? error.message : String(error)}`;
    throw new OverlaydError('internal', message, { cause: error, retryable: true });
  }
}
