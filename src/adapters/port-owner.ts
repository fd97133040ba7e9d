import { readdir, readFile, readlink } from 'node:fs/promises';

/** Who holds a port of this network namespace, `name (pid N)`; `kernel` when sockets of it belong to no process. */
export type PortOwner = { readonly process: string } | 'kernel' | undefined;

/** States that hold a port, as the tables of the kernel show them: LISTEN, and of UDP (which has no states) CLOSE. */
const HOLDING = { tcp: '0A', udp: '07' } as const;

/** Undefined when it cannot be told: nobody holds it, or not any more. */
export async function findPortOwner(transport: 'tcp' | 'udp', port: number): Promise<PortOwner> {
  const sockets = await holdingSockets(transport, port);
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
async function holdingSockets(transport: 'tcp' | 'udp', port: number): Promise<Set<string>> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const tables = await Promise.all(
    [`/proc/net/${transport}`, `/proc/net/${transport}6`].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const rows = tables.flatMap((table) => table.split('\n').map((row) => row.trim().split(/\s+/)));
  return new Set(
    rows.filter((row) => row[1]?.endsWith(suffix) && row[3] === HOLDING[transport]).map((row) => `socket:[${row[9]}]`),
  );
}
