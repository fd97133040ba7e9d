import { copyFileSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expectSuccess, run } from './process.ts';

/** The image of the tests' containers. */
export const IMAGE = 'busybox-local';

const BUSYBOX = '/bin/busybox';

/** A file system with busybox under all its names (sh, ping, nslookup, nc, httpd, wget …). */
export async function unpackImage(root: string): Promise<void> {
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'tmp'));
  copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
  for (const name of expectSuccess(await run([BUSYBOX, '--list'])).split('\n')) {
    if (name !== '' && name !== 'busybox') symlinkSync('busybox', join(root, 'bin', name));
  }
}

/** The same as a tar archive. */
export async function imageArchive(directory: string): Promise<string> {
  const root = join(directory, 'image');
  const archive = join(directory, 'image.tar');
  await unpackImage(root);
  expectSuccess(await run(['tar', '-C', root, '-cf', archive, '.']));
  rmSync(root, { recursive: true });
  return archive;
}
