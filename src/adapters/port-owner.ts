import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
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
  const sockets = holdingSockets(transport, port, options);
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
function holdingSockets(
  transport: 'tcp' | 'udp',
  port: number,
  { namespacePath, address }: PortOwnerOptions,
): Set<string> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const tables = insideNamespace(namespacePath, () => [transport, `${transport}6`].map(readTable));
  const rows = tables.flatMap((table) => table.split('\n').map((row) => row.trim().split(/\s+/)));
  // As the kernel's tables have it: words of four bytes, in each the last byte first.
  const bytes = address && Buffer.from(bytesOf(requireIp(address, 'address'))).swap32();
  const wanted = bytes && `${bytes.toString('hex').toUpperCase()}${suffix}`;
  const holds = (local = '') => local.endsWith(suffix) && (!wanted || local === wanted || isEverywhere(local, wanted));
  return new Set(
    rows.filter((row) => holds(row[1]) && row[3] === HOLDING[transport]).map((row) => `socket:[${row[9]}]`),
  );
}

/** Who listens at all addresses of IPv6 does so at those of IPv4, as a rule; not the other way round. */
function isEverywhere(local: string, wanted: string): boolean {
  return /^0+:/.test(local) && local.length >= wanted.length;
}

/** Of the network namespace that this thread is in. */
function readTable(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${name}`, 'utf8');
  } catch {
    return '';
  }
}
