/** Mends a container's `/etc/hosts` where the engine keeps it: see `core/engine/hosts-file.ts`. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { mendHosts, type OwnAddresses } from '../../core/engine/hosts-file.ts';

const MAX_BYTES = 1024 * 1024;

/**
 * Returns how many lines were mended; 0 when there is no such file any more. Throws what the file system says. One in which
 * nothing is wrong is only read: with user namespaces it is not ours to write.
 */
export async function mendHostsFile(path: string, own: OwnAddresses): Promise<number> {
  const wrong = await withFile(path, constants.O_RDONLY, async (file) => {
    const found = await file.stat();
    return found.isFile() && found.size <= MAX_BYTES ? mendHosts(await readText(file, 0, found.size), own) : [];
  });
  if (!wrong?.length) return 0;
  const mended = await withFile(path, constants.O_RDWR, async (file) => {
    let count = 0;
    for (const { offset, before, after } of wrong) {
      // The engine and the container may write it too.
      if ((await readText(file, offset, before.length)) !== before) continue;
      await file.write(after, offset, 'latin1');
      count += 1;
    }
    return count;
  });
  return mended ?? 0;
}

/** Undefined when there is no such file. */
async function withFile<T>(
  path: string,
  flags: number,
  task: (file: FileHandle) => Promise<T>,
): Promise<T | undefined> {
  const file = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    },
  );
  if (!file) return undefined;
  try {
    return await task(file);
  } finally {
    await file.close();
  }
}

/** One character per byte. */
async function readText(file: FileHandle, position: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.toString('latin1', 0, bytesRead);
}
