import { readdirSync, rmdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Host } from './host.ts';

const ROOT = '/sys/fs/cgroup';

/** Of a host's containers. Control groups are the machine's, unlike everything else of a lab: one for each host. */
export function controlGroupOf(host: Host): string {
  return `/${basename(dirname(host.directory))}/${host.name}`;
}

/** Removes the empty control groups of the labs that are over, told by the name of their directory. */
export function removeControlGroups(isOver: (lab: string) => boolean): void {
  // Version 1 has a tree for each controller, version 2 has one.
  for (const tree of [ROOT, ...directories(ROOT)]) {
    for (const path of directories(tree)) if (isOver(basename(path))) removeEmpty(path);
  }
}

function removeEmpty(path: string): void {
  for (const inner of directories(path)) removeEmpty(inner);
  try {
    rmdirSync(path);
  } catch {
    // A process is still in there, or somebody else was faster.
  }
}

function directories(path: string): readonly string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name));
  } catch {
    return [];
  }
}
