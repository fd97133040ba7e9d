/** The Docker daemon's configuration file, as much as tells whether its containers ask us for names. */
import { readFile } from 'node:fs/promises';

/** The servers under `"dns"`; empty without any, undefined when there is no such file or it cannot be read. */
export async function daemonNameServers(path: string): Promise<readonly string[] | undefined> {
  try {
    const { dns = [] } = JSON.parse(await readFile(path, 'utf8')) as { dns?: unknown };
    return Array.isArray(dns) ? dns.filter((server) => typeof server === 'string') : [];
  } catch {
    return undefined;
  }
}
