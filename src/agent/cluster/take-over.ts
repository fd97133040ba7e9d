/** `overlayd init --from-backup`: the networks of another cluster's backup, with nobody on them, in one that is just being made. */
import { parseBackup, type StoreBackup } from '../../core/store-backup.ts';
import { takenOver } from '../../core/store-restore.ts';
import type { Pki } from '../../ports/identity.ts';
import type { Change, Commit } from '../view/commit.ts';

const AT_ONCE = 100;

/** Undefined: there is none. Throws `backup-unusable`. */
export function readBackup(pki: Pick<Pki, 'sha256'>, text: string | undefined): StoreBackup | undefined {
  return text ? parseBackup(text, pki.sha256) : undefined;
}

/** Nobody else writes there yet; done again, it writes the same again. */
export async function takeOver(commit: Commit, { records }: StoreBackup): Promise<void> {
  const changes = [...takenOver(records)].map(([key, record]): Change => ({ kind: 'put', key, record }));
  for (let at = 0; at < changes.length; at += AT_ONCE) await commit([], changes.slice(at, at + AT_ONCE));
}
