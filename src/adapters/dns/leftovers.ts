/**
 * Who holds a port in a network's namespace, and the end of those that are ours and nobody's any more: binders whose agent
 * was killed while they worked. They end with their agent since it starts them so; those of older releases do not.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPortOwner } from '../port-owner.ts';

/** A killed process is gone within milliseconds; it is waited for as long as this at most. */
const ENDED_WITHIN_MS = 1_000;
const LOOK_EVERY_MS = 10;

/** Returns whether there were any; what they held is free then. `program`: path of the binder, `port`: what it was to bind. */
export async function endLeftovers(namespacePath: string, program: string, port: number): Promise<boolean> {
  const inside = await processesIn(namespacePath);
  const leftovers: string[] = [];
  for (const pid of inside) {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    // As it is started: an editor or a pager of that file is none.
    const isOurs = words.some(
      (word, index) => basename(word) === basename(program) && words[index + 1] === String(port),
    );
    if (isOurs && (await parentOf(pid)) !== process.pid) leftovers.push(pid);
  }
  for (const pid of leftovers) signal(pid);
  for (let waitedMs = 0; waitedMs < ENDED_WITHIN_MS; waitedMs += LOOK_EVERY_MS) {
    const left = await processesIn(namespacePath);
    if (!leftovers.some((pid) => left.includes(pid))) break;
    await sleep(LOOK_EVERY_MS);
  }
  return leftovers.length > 0;
}

/** In words; undefined when it cannot be told. */
export async function holderOf(namespacePath: string, address: string, port: number): Promise<string | undefined> {
  const [insider] = await processesIn(namespacePath);
  if (insider === undefined) return undefined;
  for (const transport of ['tcp', 'udp'] as const) {
    const owner = await findPortOwner(transport, port, { insider, address });
    if (owner !== undefined && owner !== 'kernel') return owner.process;
  }
  return undefined;
}

/** A process that has ended but was not waited for has no namespace any more. */
async function processesIn(namespacePath: string): Promise<string[]> {
  const identityOf = async (path: string) => {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  };
  const wanted = await identityOf(namespacePath).catch(() => undefined);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => ((await identityOf(`/proc/${pid}/ns/net`).catch(() => '')) === wanted ? [pid] : [])),
  );
  return found.flat();
}

async function parentOf(pid: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^PPid:\t(\d+)$/m.exec(status)?.[1] ?? process.pid);
}

function signal(pid: string): void {
  try {
    process.kill(Number(pid), 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
