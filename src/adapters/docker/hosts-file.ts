/** Mends a container's `/etc/hosts` where the engine keeps it: see `core/docker/hosts-file.ts`. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { mendHosts, type OwnAddresses } from '../../core/docker/hosts-file.ts';

const MAX_BYTES = 1024 * 1024;

/**
 * Returns how many lines were mended; 0 when there is no such file any more. Throws what the file system says.
 */
export async function mendHostsFile(path: string, own: OwnAddresses): Promise<number> {
  const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (!file) return 0;
  try {
    const found = await file.stat();
    if (!found.isFile() || found.size > MAX_BYTES) return 0;
    const read = async (position: number, length: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
      return buffer.toString('latin1', 0, bytesRead);
    };
    let mended = 0;
    for (const { offset, before, after } of mendHosts(await read(0, found.size), own)) {
      // The engine and the container may write it too.
      if ((await read(offset, before.length)) !== before) continue;
      await file.write(after, offset, 'latin1');
      mended += 1;
    }
    return mended;
  } finally {
    await file.close();
  }
}
