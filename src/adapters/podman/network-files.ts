/**
 * The folder that Podman keeps its networks in. Every command of Podman reads it whole, so a file is there whole or not at all:
 * written under another name that does not end in `.json`, and linked or renamed.
 */
import { constants } from 'node:fs';
import { access, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type PodmanNetwork, parsePodmanNetwork } from '../../core/podman/network-file.ts';
import type { PodmanNetworkFiles } from '../../ports/podman.ts';

const ENDING = '.json';

/** `folder`: Podman's `network_config_dir`. `plugin`: path of the program that netavark runs for us; without it nothing is offered. */
export function createNetworkFiles({
  folder,
  plugin,
}: {
  readonly folder: string;
  readonly plugin: string;
}): PodmanNetworkFiles {
  const pathOf = ({ name }: Pick<PodmanNetwork, 'name'>) => join(folder, `${name}${ENDING}`);

  async function read(path: string): Promise<PodmanNetwork | undefined> {
    try {
      return parsePodmanNetwork(JSON.parse(await readFile(path, 'utf8')));
    } catch {
      // Half written by Podman at this moment, gone again, or what Podman itself warns of.
      return undefined;
    }
  }

  async function write(network: PodmanNetwork, place: (partial: string, path: string) => Promise<void>): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const partial = join(folder, `.${network.name}.overlayd`);
    try {
      await writeFile(partial, `${JSON.stringify(network, undefined, 5)}\n`, { mode: 0o644 });
      await place(partial, pathOf(network));
    } finally {
      await rm(partial, { force: true });
    }
  }

  return {
    async stamp() {
      if (!(await exists(plugin))) return undefined;
      const found = await stat(folder, { bigint: true }).catch((error: unknown) => {
        if (isAbsent(error)) return undefined;
        throw error;
      });
      return found ? `${found.ino} ${found.mtimeNs}` : '';
    },

    async list() {
      const names = await readdir(folder).catch((error: unknown): string[] => {
        if (isAbsent(error)) return [];
        throw error;
      });
      const files = names.filter((name) => name.endsWith(ENDING)).sort();
      const found = await Promise.all(files.map(async (name) => [name, await read(join(folder, name))] as const));
      // As Podman: a file that is not named like its network is none.
      return found.flatMap(([name, network]) => (network && `${network.name}${ENDING}` === name ? [network] : []));
    },

    async has(name) {
      const found = await stat(pathOf({ name })).catch((error: unknown) => {
        if (isAbsent(error)) return undefined;
        throw error;
      });
      return found !== undefined;
    },

    async add(network) {
      try {
        await write(network, link);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
        throw error;
      }
    },

    async change(network) {
      if ((await read(pathOf(network)))?.id === network.id) await write(network, rename);
    },

    async remove(network) {
      if ((await read(pathOf(network)))?.id === network.id) await rm(pathOf(network), { force: true });
    },
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
