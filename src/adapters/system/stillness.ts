/** Whether a container's process is kept from running: frozen by its control group, or stopped. */
import { readFile } from 'node:fs/promises';
import type { StillnessOf } from '../../ports/look.ts';

const OF_PROCESS = /^(\/proc\/\d+)\/ns\/net$/;
const ROOT = '/sys/fs/cgroup';

export const stillnessOf: StillnessOf = async (namespacePath) => {
  const process = OF_PROCESS.exec(namespacePath)?.[1];
  if (process === undefined) return undefined;
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const [groups, stat] = await Promise.all([read(`${process}/cgroup`), read(`${process}/stat`)]);
  // proc(5): the state follows the name, which may have any characters but this one.
  const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  if (state === 'T') return 'its process is stopped: `kill -CONT` lets it go on';
  // cgroups(7): `0::/path` of version 2, `number:freezer:/path` of version 1.
  const unified = /^0::(\/.*)$/m.exec(groups)?.[1];
  const freezer = /^\d+:(?:[^:]*,)?freezer(?:,[^:]*)?:(\/.*)$/m.exec(groups)?.[1];
  const events = unified === undefined ? '' : await read(`${ROOT}${unified}/cgroup.events`);
  const former = freezer === undefined ? '' : await read(`${ROOT}/freezer${freezer}/freezer.state`);
  if (!/^frozen 1$/m.test(events) && !/^FROZEN$/m.test(former)) return undefined;
  return 'it is paused, so nothing in it runs: `docker unpause`, or what its tool calls it';
};
