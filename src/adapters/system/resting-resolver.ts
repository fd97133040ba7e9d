/**
 * The resolver's file of a container whose root is there already and of which nothing runs yet, as when LXC calls a hook. Later its
 * own processes could lead such a write astray, or hold it up. What an earlier run of it has left there is not trusted: no
 * link is followed, and nothing of another file system is written.
 */
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import type { ContainerRef } from '../../core/container.ts';
import { isOwnResolverText, resolverLines, resolverText } from '../../core/resolver-text.ts';
import { adviseResolver } from './resolver-file.ts';

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;
const MAX_BYTES = 64 * 1024;

/** `root`: of the container, e.g. `/proc/4711/root`. Returns a warning when names will not resolve by our doing. */
export function configureResting(
  root: string,
  ref: Pick<ContainerRef, 'text'>,
  servers: readonly string[],
  hostRoot = '/',
): string | undefined {
  if (servers.length === 0) return undefined;
  try {
    // A process with a network of its own and the host's files, whose resolver's file is the host's.
    if (isSameFile(root, hostRoot)) return adviseResolver(ref, servers);
    if (write(root, servers)) return undefined;
    return `/etc/resolv.conf of ${ref.text} is not overlayd's and was left alone; names resolve once it is removed, or has: ${resolverLines(servers)}`;
  } catch {
    // A link, no /etc at all, read-only: for whoever made it so.
    return adviseResolver(ref, servers);
  }
}

function isSameFile(a: string, b: string): boolean {
  const [one, other] = [statSync(`${a}/`), statSync(`${b}/`)];
  return one.dev === other.dev && one.ino === other.ino;
}

/** False: what is there is somebody's. */
function write(root: string, servers: readonly string[]): boolean {
  const directory = openSync(`${root}/etc`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const path = `/proc/self/fd/${directory}/resolv.conf`;
    const found = lstatSync(path, { throwIfNoEntry: false });
    // To open a device is to do something with it.
    if (found && !found.isFile() && !found.isSymbolicLink()) return false;
    const flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
    const file = openSync(path, flags, 0o644);
    try {
      const [at, within] = [fstatSync(file), fstatSync(directory)];
      if (!at.isFile() || at.dev !== within.dev || at.nlink > 1 || at.size > MAX_BYTES) return false;
      const present = readFileSync(file, 'utf8');
      if (present.trim() !== '' && !isOwnResolverText(present)) return false;
      // Root of the container, whose number outside may be another one.
      if (at.uid !== within.uid || at.gid !== within.gid) fchownSync(file, within.uid, within.gid);
      ftruncateSync(file, 0);
      writeSync(file, resolverText(servers), 0);
      return true;
    } finally {
      closeSync(file);
    }
  } finally {
    closeSync(directory);
  }
}
