/** The page's own files, as they were built: read once, compressed once. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { OverlaydError } from '../core/errors.ts';

export interface StaticFile {
  readonly type: string;
  /** Compressed with gzip. */
  readonly body: Buffer;
  readonly tag: string;
}

/** By path of the URL; built by `deploy/build.ts`. */
const FILES: Readonly<Record<string, readonly [name: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/favicon.svg': ['favicon.svg', 'image/svg+xml'],
};

/** Throws `internal` when they are not there. */
export async function loadStaticFiles(directory: string): Promise<ReadonlyMap<string, StaticFile>> {
  const loaded = Object.entries(FILES).map(async ([path, [name, type]]) => {
    const text = await readFile(join(directory, name)).catch((error: Error) => {
      throw new OverlaydError('internal', `the page's files are not there (${error.message}); install overlayd again`);
    });
    const tag = `"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"`;
    return [path, { type, tag, body: await promisify(gzip)(text, { level: 9 }) }] as const;
  });
  return new Map(await Promise.all(loaded));
}
