/** Files of this host that other programs read. What is replaced is replaced whole; `node:fs` is loaded when it is needed. */
import { dirname } from 'node:path';

export const hostFiles = {
  async read(path: string): Promise<string | undefined> {
    const { readFile } = await import('node:fs/promises');
    return readFile(path, 'utf8').catch(undefinedWhereNone);
  },
  async size(path: string): Promise<number | undefined> {
    const { stat } = await import('node:fs/promises');
    return stat(path).then(({ size }) => size, undefinedWhereNone);
  },
  async list(directory: string): Promise<readonly string[]> {
    const { readdir } = await import('node:fs/promises');
    return (await readdir(directory).catch(undefinedWhereNone)) ?? [];
  },
  async install(path: string, text: string, mode: number): Promise<void> {
    const { chmod, mkdir, rename, writeFile } = await import('node:fs/promises');
    await mkdir(dirname(path), { recursive: true });
    const partial = `${path}.partial`;
    await writeFile(partial, text, { flush: true });
    await chmod(partial, mode);
    await rename(partial, path);
  },
  async remove(path: string): Promise<boolean> {
    const { unlink } = await import('node:fs/promises');
    return unlink(path).then(
      () => true,
      async (error) => (await undefinedWhereNone(error)) ?? false,
    );
  },
};

async function undefinedWhereNone(error: NodeJS.ErrnoException): Promise<undefined> {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
