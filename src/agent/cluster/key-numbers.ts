/**
 * Numbers of WireGuard keys: each is claimed, and given back, by the very transaction that writes the node's record with the
 * key. So neither is ever there without the other, and nobody has a number twice.
 */
import type { WireguardOffer } from '../../core/records.ts';
import { keys } from '../../core/records.ts';
import type { ClusterStore, Compare, StoreEntry } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import type { Change } from '../view/commit.ts';

/** What a node offers for encrypted networks: its agent's keys. */
export interface OwnOffer {
  /** `none`: this host has nothing for them any more. Undefined: what the record says stands. Throws what stands in the way. */
  offer(current: { readonly wireguard?: WireguardOffer }): Promise<WireguardOffer | 'none' | undefined>;
  /** It is in etcd, with its numbers. */
  published(offer: WireguardOffer): Promise<void>;
}

export interface NumberChanges {
  readonly compares: readonly Compare[];
  readonly changes: readonly Change[];
}

/** What makes the claims of a node those of its offer. Undefined: nothing is known of that, and nothing done. */
export function numberChanges(
  { view, revisionOf }: Pick<ClusterState, 'view'> & { readonly revisionOf: (key: string) => number | undefined },
  nodeId: string,
  offer: WireguardOffer | 'none' | undefined,
): NumberChanges {
  const compares: Compare[] = [];
  const changes: Change[] = [];
  if (!offer) return { compares, changes };
  const wanted = new Set(offer === 'none' ? [] : offer.keys.map(({ number }) => number));
  const holders = view.keyNumbers();
  for (const number of wanted) {
    const key = keys.wireguard(number);
    if (holders.get(number) === nodeId) continue;
    compares.push({ kind: 'absent', key });
    changes.push({ kind: 'put', key, record: nodeId });
  }
  for (const [number, holder] of holders) {
    const key = keys.wireguard(number);
    const revision = revisionOf(key);
    if (holder !== nodeId || wanted.has(number) || revision === undefined) continue;
    compares.push({ kind: 'revision', key, revision });
    changes.push({ kind: 'delete', key });
  }
  return { compares, changes };
}

/**
 * The claims that a node holds. Whoever read its record before and compares its revision gets all of them: they are written
 * with the record alone.
 */
export async function numbersOf(store: Pick<ClusterStore, 'list'>, nodeId: string): Promise<readonly StoreEntry[]> {
  const { entries } = await store.list(keys.wireguards);
  return entries.filter(({ value }) => value === nodeId);
}
