/**
 * Who holds a port in a network's namespace, and the end of those that are ours and nobody's any more: a process that
 * answered names and has lost its place to this one (somebody emptied the run directory), and binders of a release that
 * bound its sockets by a child in the namespace.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { findPortOwner } from '../port-owner.ts';

export interface LeftoverOptions {
  /** What only processes with this one's task and its files have among their arguments: where they are reached. */
  readonly task?: string;
}

const BINDERS = ['dns-binder.cjs', 'binder.ts'];
/** Returns whether there were any; what they held is free when the last of their threads has ended, a moment later. */
export async function endLeftovers(
  namespacePath: string,
  { task, port }: LeftoverOptions & { readonly port: number },
): Promise<boolean> {
  const leftovers: string[] = [];
  const others = task === undefined ? [] : await processesIn('/proc/self/ns/mnt', 'mnt');
  for (const pid of others) if (Number(pid) !== process.pid && isOfTask(await wordsOf(pid), task!)) leftovers.push(pid);
  for (const pid of await processesIn(namespacePath, 'net'))
    if (isBinder(await wordsOf(pid), port)) leftovers.push(pid);
  for (const pid of leftovers) signal(pid);
  return leftovers.length > 0;
}

/** As it is started: an editor or a pager of that file is none. */
function isBinder(words: readonly string[], port: number): boolean {
  return words.some((word, index) => BINDERS.includes(basename(word)) && words[index + 1] === String(port));
}

/** The task stands right behind the program, which has this one's name whatever release it is of. */
function isOfTask(words: readonly string[], task: string): boolean {
  const at = words.indexOf(task);
  return at > 0 && basename(words[at - 1]!) === basename(process.argv[1] ?? '');
}

/** Of the command line. */
async function wordsOf(pid: string): Promise<readonly string[]> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return line.split('\0').filter((word) => word !== '');
}

async function processes(): Promise<string[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
}

/** In words; undefined when it cannot be told. */
export async function holderOf(namespacePath: string, address: string, port: number): Promise<string | undefined> {
  for (const transport of ['tcp', 'udp'] as const) {
    const owner = await findPortOwner(transport, port, { namespacePath, address });
    if (owner !== undefined && owner !== 'kernel') return owner.process;
  }
  return undefined;
}

async function processesIn(namespacePath: string, kind: 'net' | 'mnt'): Promise<string[]> {
  const identityOf = async (path: string) => {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  };
  const wanted = await identityOf(namespacePath).catch(() => undefined);
  const pids = await processes();
  const found = await Promise.all(
    pids.map(async (pid) => ((await identityOf(`/proc/${pid}/ns/${kind}`).catch(() => '')) === wanted ? [pid] : [])),
  );
  return found.flat();
}

function signal(pid: string): void {
  try {
    process.kill(Number(pid), 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
