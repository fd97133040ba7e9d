/** Taking away a directory of ours, which somebody may have chosen to be one that holds other things as well. */
import { readdir, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** Files of the data directory and of the run directory, with what is beside them while they are written, or set aside. */
const OWN =
  /^\.?(?:(?:identity|state|docker|wireguard)\.json|events\.jsonl|etcd|wireguard|(?:overlayd|plugins|names)\.sock)(?:\.|$)/;

/** The whole of it where its name is ours; else what is ours in it, and it too when nothing else is there. */
export async function removeOwnDirectory(directory: string): Promise<void> {
  if (/overlayd/.test(basename(directory))) return rm(directory, { recursive: true, force: true });
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((each) => OWN.test(each))) await rm(join(directory, name), { recursive: true });
  await rmdir(directory).catch(() => undefined);
}
