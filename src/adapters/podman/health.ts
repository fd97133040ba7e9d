/**
 * What the checks of Podman's containers found (`--health-cmd`), by the file that Podman writes after each of them: it is told by the
 * kernel that a file was written, and Podman itself is never asked. Podman 4.3 to 5.8, root's.
 */
import { existsSync, type FSWatcher, readdirSync, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject } from '../../core/podman/network-file.ts';
import type { PodmanHealth } from '../../ports/podman.ts';

const FOLDER = /^[a-z0-9]+-containers$/;
const FILE = 'healthcheck.log';

/** `runRoot`: Podman's; that of root by default. */
export function createPodmanHealth({
  runRoot = '/run/containers/storage',
}: {
  readonly runRoot?: string;
} = {}): PodmanHealth {
  const watchers = new Map<string, FSWatcher>();

  /** There is one of each for every storage driver that was ever used. */
  function folderOf(id: string): string | undefined {
    try {
      const folders = readdirSync(runRoot).filter((name) => FOLDER.test(name));
      return folders.map((name) => join(runRoot, name, id)).find((path) => existsSync(path));
    } catch {
      return undefined;
    }
  }

  function follow(id: string, told: (id: string) => void): void {
    const folder = folderOf(id);
    if (folder === undefined) return;
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === FILE) told(id);
      });
      watcher.on('error', () => leave(id));
      watchers.set(id, watcher);
    } catch {
      // Gone at this moment, or the kernel has no watch left: the next look tries again.
    }
  }

  function leave(id: string): void {
    watchers.get(id)?.close();
    watchers.delete(id);
  }

  return {
    async unhealthy(ids) {
      const found = await Promise.all(Array.from(ids, async (id) => [id, await isUnhealthy(folderOf(id))] as const));
      return new Map(found.flatMap(([id, is]) => (is === undefined ? [] : [[id, is]])));
    },
    follow(ids, told) {
      for (const id of watchers.keys()) if (!ids.has(id)) leave(id);
      for (const id of ids) if (!watchers.has(id)) follow(id, told);
    },
  };
}

/** One that has no check has no file. Undefined: it is being written, and told again when it is. */
async function isUnhealthy(folder: string | undefined): Promise<boolean | undefined> {
  if (folder === undefined) return false;
  const text = await readFile(join(folder, FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && value.Status === 'unhealthy';
  } catch {
    return undefined;
  }
}
