/**
 * Etcd that holds the records of an older release and none of this one. They are not read, and there is no way from them to
 * this release's in place: whoever meets them is told so. An agent goes on with what its host has, as while etcd is behind.
 */
import { OverlaydError } from '../../core/errors.ts';
import { FORMER_PREFIX, keys } from '../../core/records.ts';
import type { ClusterStore } from '../../ports/store.ts';

const WHAT = `etcd holds the records of a cluster of an older overlayd (below ${FORMER_PREFIX}), and none that this release reads`;
const TODO = `To go on with that cluster, install the release that made it on this host again. To begin anew with this one, run \`overlayd leave --force\` on each of its hosts (with --yes-delete-cluster on the one that runs its etcd), delete what is left in an etcd of your own (\`etcdctl del --prefix ${FORMER_PREFIX}\`), then init and join again`;

/** In words, with what to do; undefined when etcd holds none, or this release's besides. */
export async function formerRecords(store: Pick<ClusterStore, 'get'>): Promise<string | undefined> {
  const [former, current] = await Promise.all([store.get(`${FORMER_PREFIX}cluster`), store.get(keys.cluster)]);
  return former && !current ? `${WHAT}. ${TODO}` : undefined;
}

/** Throws `version-mismatch` when there are. */
export async function refuseFormerRecords(store: Pick<ClusterStore, 'get'>): Promise<void> {
  const problem = await formerRecords(store);
  if (problem !== undefined) throw new OverlaydError('version-mismatch', problem);
}
