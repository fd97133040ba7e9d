/**
 * Names of networks' namespaces that go. The kernel tells of a namespace's end, and of its name it does not: one that
 * something else keeps alive goes on without a name, and nobody finds it any more.
 */
import { existsSync, type FSWatcher, mkdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { isNetworkNamespace } from '../../core/plan/naming.ts';
import { NAMES } from './means.ts';

/** `root`: of the host's files. Throws as watching the directory does, which is made where it is not there yet. */
export function watchNames(root: string, onGone: (name: string) => void): { close(): void } {
  const directory = join(root, NAMES);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const watcher: FSWatcher = watch(directory, { persistent: false }, (_, name) => {
    if (name !== null && isNetworkNamespace(name) && !existsSync(join(directory, name))) onGone(name);
  });
  // The directory itself has gone: the audit is the net below.
  watcher.on('error', () => watcher.close());
  return watcher;
}
