/** `/etc/netns/NAME/resolv.conf`, which `ip netns exec` shows as `/etc/resolv.conf` inside. */
import { mkdir, readdir, rmdir, unlink, writeFile } from 'node:fs/promises';
import type { ContainerRef } from '../../core/container.ts';
import { isOwnResolverText, resolverLines, resolverText } from '../../core/resolver-text.ts';
import type { ResolverDrift } from '../../ports/host.ts';
import { readPlainFile } from '../plain-file.ts';

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
  const name = nameOf(ref);
  if (name === undefined) return adviseResolver(ref, servers);
  const path = `${directory}/${name}/resolv.conf`;
  const present = readPlainFile(path);
  if (present.kind === 'other' || (present.kind === 'text' && !isOwnResolverText(present.text))) {
    if (servers.length === 0) return undefined;
    return `${path} is not overlayd's and was left alone; names resolve once it has: ${resolverLines(servers)}`;
  }
  if (servers.length === 0) {
    if (present.kind !== 'absent') await unlink(path).catch(unlessGone);
    await rmdir(`${directory}/${name}`).catch(() => undefined);
    return undefined;
  }
  await mkdir(`${directory}/${name}`, { recursive: true });
  // In place, not renamed: processes that run already have this very file mounted.
  await writeFile(path, resolverText(servers));
  return undefined;
}

/** How the file differs from what {@link configureResolver} writes there; undefined: it does not, or is none of ours. */
export function resolverDrift(
  directory: string,
  ref: ContainerRef,
  servers: readonly string[],
): ResolverDrift | undefined {
  const name = nameOf(ref);
  if (name === undefined || servers.length === 0) return undefined;
  const path = `${directory}/${name}/resolv.conf`;
  const present = readPlainFile(path);
  const shown = `/etc/netns/${name}/resolv.conf`;
  if (present.kind === 'absent') return { path: shown, state: 'missing', detail: '' };
  if (present.kind === 'other' || !isOwnResolverText(present.text) || present.text === resolverText(servers))
    return undefined;
  return { path: shown, state: 'wrong', detail: `it does not say what it should: nameserver ${servers.join(', ')}` };
}

/** The containers that have a file there which is ours. */
export async function withResolver(directory: string): Promise<readonly ContainerRef[]> {
  const names = await readdir(directory).catch((): string[] => []);
  const own = names.filter((name) => {
    const present = readPlainFile(`${directory}/${name}/resolv.conf`);
    return present.kind === 'text' && isOwnResolverText(present.text);
  });
  return own.map((name) => ({ text: `netns:${name}`, path: `/run/netns/${name}`, identity: '' }));
}

/** Undefined: it is none for which files are kept there. */
function nameOf({ text }: ContainerRef): string | undefined {
  return /^netns:([^/]+)$/.exec(text)?.[1];
}

/** Of a container whose files are not ours to write. */
export function adviseResolver({ text }: Pick<ContainerRef, 'text'>, servers: readonly string[]): string | undefined {
  if (servers.length === 0) return undefined;
  return `names resolve inside ${text} once its /etc/resolv.conf has: ${resolverLines(servers)}`;
}

function unlessGone(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
