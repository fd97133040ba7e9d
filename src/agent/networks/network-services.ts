/** Services go with their network, and do not keep it from being removed; a network that is used keeps them. */
import { unreadableRecord } from '../../core/levels.ts';
import { encodeRecord } from '../../core/record-codec.ts';
import { keys, type NetworkRecord } from '../../core/records.ts';
import { serviceClaims } from '../../core/service.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Change, type Commit, unchanged } from '../view/commit.ts';

interface NetworkServicesDeps {
  readonly commit: Commit;
  readonly state: Pick<ClusterState, 'entryOf' | 'learn' | 'view'>;
  readonly store: Pick<ClusterStore, 'get'>;
}

const ATTEMPTS = 16;

/** Of a network that nobody is on. Returns what puts them back, should somebody have come meanwhile. Throws `version-mismatch`. */
export async function takeServices(
  { commit, state, store }: NetworkServicesDeps,
  { id, name }: NetworkRecord,
): Promise<() => Promise<void>> {
  const key = keys.services(id);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const record = state.view.services(id);
    if (state.view.unreadable.has(key)) throw unreadableRecord(key, `network ${name} cannot be removed here`);
    if (!record) break;
    const claims = record.services.flatMap((service) => serviceClaims(id, service));
    const deletions = claims.map((claim): Change => ({ kind: 'delete', key: claim.key }));
    const taken = await commit([unchanged(key, state.entryOf(key))], [{ kind: 'delete', key }, ...deletions]);
    if (taken) {
      return async () => {
        const puts = claims.map((claim): Change => ({ kind: 'put', ...claim }));
        await commit(
          [key, ...claims.map((claim) => claim.key)].map((each) => ({ kind: 'absent', key: each })),
          [{ kind: 'put', key, record: encodeRecord(record) }, ...puts],
        ).catch(() => undefined);
      };
    }
    const held = await store.get(key);
    if (!held) break;
    state.learn([held]);
  }
  return async () => undefined;
}
