/** Whether the CA's key stays with the cluster when this host goes. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { levelOf, STORE_LEVEL } from '../../core/levels.ts';
import type { Pki } from '../../ports/identity.ts';
import type { Identity } from './identity.ts';
import type { KeeperCalls } from './keeper-calls.ts';

export interface KeyElsewhereDeps {
  readonly identity: Identity;
  readonly keepers: Pick<KeeperCalls, 'askOthers'>;
  readonly pki: Pick<Pki, 'createCsr'>;
  readonly view: Pick<ClusterView, 'level' | 'node' | 'nodes'>;
}

/**
 * Another keeper shows that it has the key, by signing with it. Nothing is asked where this host has none, where every member has it
 * (below level 4), by the last one, and by one that is a member no more. Throws what {@link KeeperCalls.askOthers} throws.
 */
export async function requireKeyElsewhere({ identity, keepers, pki, view }: KeyElsewhereDeps): Promise<void> {
  const { advertiseAddress: address, caKey, key, nodeId } = identity;
  if (caKey === undefined || levelOf(view) < STORE_LEVEL) return;
  if (view.node(nodeId)?.left !== false) return;
  if (![...view.nodes()].some(({ id, left }) => id !== nodeId && !left)) return;
  await keepers.askOthers('renew', { csr: await pki.createCsr(key), address, keeper: false });
}
