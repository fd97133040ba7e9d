import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

/** The same as `docker save` writes it, by that name. */
export async function savedImage(directory: string, name: string): Promise<string> {
  const folder = join(directory, 'saved');
  mkdirSync(folder, { recursive: true });
  const layer = await imageArchive(folder);
  const digest = createHash('sha256').update(readFileSync(layer)).digest('hex');
  const config = {
    ...{ architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux' },
    config: { Cmd: ['sleep', 'infinity'], Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: ['image.tar'] }];
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(directory, 'saved.tar');
  expectSuccess(await run(['tar', '-C', folder, '-cf', archive, 'manifest.json', 'config.json', 'image.tar']));
  rmSync(folder, { recursive: true });
  return archive;
}
