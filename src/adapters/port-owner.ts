import { createReadStream, openSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { bytesOf, requireIp } from '../core/ip.ts';
import { insideNamespace } from './native/namespace.ts';

/** Who holds a port of this network namespace, `name (pid N)`; `kernel` when sockets of it belong to no process. */
export type PortOwner = { readonly process: string } | 'kernel' | undefined;

/** States that hold a port, as the tables of the kernel show them: LISTEN, and of UDP (which has no states) CLOSE. */
const HOLDING = { tcp: '0A', udp: '07' } as const;

export interface PortOwnerOptions {
  /** Of the network namespace that is meant; without it, where this process is. */
  readonly namespacePath?: string;
  /** Only who holds the port at this address, or at all. */
  readonly address?: string;
}

/** Undefined when it cannot be told: nobody holds it, or not any more. */
export async function findPortOwner(
  transport: 'tcp' | 'udp',
  port: number,
  options: PortOwnerOptions = {},
): Promise<PortOwner> {
  const sockets = await holdingSockets(transport, port, options);
  if (sockets.size === 0) return undefined;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      if (!sockets.has(target)) continue;
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'a process');
      return { process: `${name.trim()} (pid ${pid})` };
    }
  }
  return 'kernel';
}

/** As `/proc/PID/fd` shows them: `socket:[inode]`. */
async function holdingSockets(
  transport: 'tcp' | 'udp',
  port: number,
  { namespacePath, address }: PortOwnerOptions,
): Promise<Set<string>> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  // As the kernel's tables have it: words of four bytes, in each the last byte first.
  const bytes = address && Buffer.from(bytesOf(requireIp(address, 'address'))).swap32();
  const wanted = bytes && `${bytes.toString('hex').toUpperCase()}${suffix}`;
  const holds = (local = '') => local.endsWith(suffix) && (!wanted || local === wanted || isEverywhere(local, wanted));
  const sockets = new Set<string>();
  for (const name of [transport, `${transport}6`]) {
    const table = insideNamespace(namespacePath, () => openTable(name));
    if (table === undefined) continue;
    for await (const line of linesOf(table)) {
      const row = line.trim().split(/\s+/);
      if (holds(row[1]) && row[3] === HOLDING[transport]) sockets.add(`socket:[${row[9]}]`);
    }
  }
  return sockets;
}

/** Who listens at all addresses of IPv6 does so at those of IPv4, as a rule; not the other way round. */
function isEverywhere(local: string, wanted: string): boolean {
  return /^0+:/.test(local) && local.length >= wanted.length;
}

/** Of the network namespace that this thread is in, whoever reads it. Undefined where the kernel has no such protocol. */
function openTable(name: string): number | undefined {
  try {
    return openSync(`/proc/thread-self/net/${name}`, 'r');
  } catch {
    return undefined;
  }
}

/**
 * Read in another thread, and closed at the end or when reading fails. The kernel gives a page at a time, some 27 rows: a busy
 * host has tens of thousands, which take as many turns as there are pages.
 */
function linesOf(table: number): AsyncIterable<string> {
  return createInterface({ input: createReadStream('', { fd: table }) });
}
