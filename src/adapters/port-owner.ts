import { createReadStream, openSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { bytesOf, FAMILIES, requireIp } from '../core/ip.ts';
import { insideNamespace } from './native/namespace.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import { decodeListener, dumpListeners } from './netlink/tcp-socket.ts';
import { NETLINK_SOCK_DIAG } from './netlink/uapi/netlink.ts';

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

/** Costs less than who does: no look at other processes. */
export async function isPortHeld(transport: 'tcp' | 'udp', port: number): Promise<boolean> {
  return (await holdingSockets(transport, port, {})).size > 0;
}

/** As `/proc/PID/fd` shows them: `socket:[inode]`. */
async function holdingSockets(
  transport: 'tcp' | 'udp',
  port: number,
  { namespacePath, address }: PortOwnerOptions,
): Promise<ReadonlySet<string>> {
  const wanted = address === undefined ? undefined : Buffer.from(bytesOf(requireIp(address, 'address')));
  const asked = transport === 'tcp' ? listeners(port, namespacePath) : undefined;
  const inodes = new Set<string>();
  for await (const { local, inode } of asked ?? tableRows(transport, port, namespacePath))
    if (!wanted || wanted.equals(local) || isEverywhere(local, wanted)) inodes.add(`socket:[${inode}]`);
  return inodes;
}

/** Who listens at all addresses of IPv6 does so at those of IPv4, as a rule; not the other way round. */
function isEverywhere(local: Buffer, wanted: Buffer): boolean {
  return local.every((byte) => byte === 0) && local.length >= wanted.length;
}

interface Holding {
  /** In the order of the network. */
  readonly local: Buffer;
  readonly inode: number | string;
}

/**
 * Of TCP; the table in `/proc` has the connections, too, and is read by walking through room for hundreds of thousands. Undefined where the
 * kernel does not tell (its module `tcp_diag` is missing).
 */
function listeners(port: number, namespace: string | undefined): readonly Holding[] | undefined {
  try {
    const socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, namespace });
    try {
      const found = FAMILIES.flatMap((family) => socket.dump(dumpListeners(family, port), decodeListener));
      return found.map(({ address, inode }) => ({ local: Buffer.from(address), inode }));
    } finally {
      socket.close();
    }
  } catch {
    return undefined;
  }
}

async function* tableRows(
  transport: 'tcp' | 'udp',
  port: number,
  namespace: string | undefined,
): AsyncGenerator<Holding> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const name of [transport, `${transport}6`]) {
    const table = insideNamespace(namespace, () => openTable(name));
    if (table === undefined) continue;
    for await (const line of linesOf(table)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (state !== HOLDING[transport] || !local.endsWith(suffix)) continue;
      // Words of four bytes, in each the last byte first.
      yield { local: Buffer.from(local.slice(0, -suffix.length), 'hex').swap32(), inode };
    }
  }
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
