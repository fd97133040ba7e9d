/**
 * What can be known of Podman's containers without Podman: their names, from the list that containers/storage keeps (it is
 * rewritten by each `podman rename`), and whether anybody lives in a network namespace.
 */
import { readlinkSync, statSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject } from '../../core/podman/network-file.ts';
import type { PodmanContainers } from '../../ports/podman.ts';

export interface PodmanContainersOptions {
  /** Podman's `graphroot`. */
  readonly graphRoot: string;
  /** Its `runroot`; that of root by default. */
  readonly runRoot?: string;
}

/** Processes looked at in one turn: each takes a few microseconds. */
const BATCH = 200;
const FOLDER = /^[a-z0-9]+-containers$/;

export function createPodmanContainers({
  graphRoot,
  runRoot = '/run/containers/storage',
}: PodmanContainersOptions): PodmanContainers {
  /** There is one of each for every storage driver that was ever used. */
  async function lists(): Promise<string[]> {
    const places = [
      { root: graphRoot, file: 'containers.json' },
      { root: graphRoot, file: 'volatile-containers.json' },
      { root: runRoot, file: 'volatile-containers.json' },
    ];
    const found = places.map(async ({ root, file }) => {
      const folders = await readdir(root).catch(() => []);
      return folders.filter((name) => FOLDER.test(name)).map((name) => join(root, name, file));
    });
    return (await Promise.all(found)).flat();
  }

  return {
    async stamp() {
      const stamps = (await lists()).map(async (path) => {
        const found = await stat(path, { bigint: true }).catch(() => undefined);
        return found ? `${found.ino} ${found.mtimeNs}` : '';
      });
      return (await Promise.all(stamps)).join();
    },

    async names() {
      const names = new Map<string, string>();
      for (const path of await lists()) {
        for (const each of await readList(path)) {
          const name = isObject(each) && Array.isArray(each.names) ? each.names[0] : undefined;
          if (isObject(each) && typeof each.id === 'string' && typeof name === 'string') names.set(each.id, name);
        }
      }
      return names;
    },

    async deserted(paths) {
      const wanted = new Map<bigint, string>();
      for (const path of paths) {
        try {
          wanted.set(statSync(path, { bigint: true }).ino, path);
        } catch {
          // Gone altogether: that is for those to see who look at the file.
        }
      }
      const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
      for (let at = 0; at < processes.length && wanted.size > 0; at += BATCH) {
        for (const pid of processes.slice(at, at + BATCH)) {
          const inode = namespaceOf(pid);
          if (inode !== undefined) wanted.delete(inode);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      return new Set(wanted.values());
    },
  };
}

async function readList(path: string): Promise<readonly unknown[]> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return Array.isArray(value) ? value : [];
  } catch {
    // Written at this moment, or there is none.
    return [];
  }
}

/** A process that has ended and was not collected yet has no namespace any more. */
function namespaceOf(pid: string): bigint | undefined {
  try {
    const [, inode] = /^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/net`)) ?? [];
    return inode === undefined ? undefined : BigInt(inode);
  } catch {
    return undefined;
  }
}
