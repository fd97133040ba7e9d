/** `/etc/netns/NAME/resolv.conf`, which `ip netns exec` shows as `/etc/resolv.conf` inside. */
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
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
  const present = await readFile(path, 'utf8').catch(() => undefined);
  if (present !== undefined && !present.startsWith(MARK)) {
    if (servers.length === 0) return undefined;
    return `${path} is not overlayd's and was left alone; names resolve once it has: ${wanted}`;
  }
  if (servers.length === 0) {
    await rm(path, { force: true });
    await rmdir(`${directory}/${name}`).catch(() => undefined);
    return undefined;
  }
  await mkdir(`${directory}/${name}`, { recursive: true });
  const lines = [MARK, ...servers.map((server) => `nameserver ${server}`), 'options ndots:0', ''];
  // In place, not renamed: processes that run already have this very file mounted.
  await writeFile(path, lines.join('\n'));
  return undefined;
}
