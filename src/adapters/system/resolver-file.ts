/** `/etc/netns/NAME/resolv.conf`, which `ip netns exec` shows as `/etc/resolv.conf` inside. */
import { readFileSync } from 'node:fs';
import { mkdir, rmdir, unlink, writeFile } from 'node:fs/promises';
import type { ContainerRef } from '../../core/container.ts';

const MARK = '# Written by overlayd; it goes when the container is disconnected.';

/**
 * `directory` is `/etc/netns`. An engine's containers are left alone: it writes their files itself. Returns a warning when names
 * will not resolve by our doing.
 */
export async function configureResolver(
  directory: string,
  ref: ContainerRef,
  servers: readonly string[],
): Promise<string | undefined> {
  if (ref.text.startsWith('docker:')) return undefined;
  const name = /^netns:([^/]+)$/.exec(ref.text)?.[1];
  const wanted = servers.map((server) => `nameserver ${server}`).join(', ');
  if (name === undefined) {
    if (servers.length === 0) return undefined;
    return `names resolve inside ${ref.text} once its /etc/resolv.conf has: ${wanted}`;
  }
  const path = `${directory}/${name}/resolv.conf`;
  const present = textAt(path);
  if (present !== undefined && !present.startsWith(MARK)) {
    if (servers.length === 0) return undefined;
    return `${path} is not overlayd's and was left alone; names resolve once it has: ${wanted}`;
  }
  if (servers.length === 0) {
    if (present !== undefined) await unlink(path).catch(unlessGone);
    await rmdir(`${directory}/${name}`).catch(() => undefined);
    return undefined;
  }
  await mkdir(`${directory}/${name}`, { recursive: true });
  const lines = [MARK, ...servers.map((server) => `nameserver ${server}`), 'options ndots:0', ''];
  // In place, not renamed: processes that run already have this very file mounted.
  await writeFile(path, lines.join('\n'));
  return undefined;
}

/**
 * Of a few bytes that the kernel has in memory. The threads that would read them for us wait for links to go while
 * containers are disconnected, and each of the four steps of a read would wait for them.
 */
function textAt(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function unlessGone(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
