/**
 * Keepers: the members that keep the store and hold the CA's key (docs/adr/0022-the-store-has-members.md,
 * docs/adr/0024-a-node-writes-what-is-its-own.md). A record says who they are, which they alone can write. Until there is one, as
 * below level 4, those are taken that say of themselves that they keep the store; where etcd is the user's own, the hosts that
 * joined first. Pure.
 */
import type { ClusterView } from './cluster-view.ts';
import { levelOf, STORE_LEVEL } from './levels.ts';
import type { ClusterRecord, NodeRecord, StoreChange } from './records.ts';
import { PEER_PORT } from './store-members.ts';

/** How many, where the cluster's record does not say and etcd is the user's own. */
const WANTED_BESIDE_EXTERNAL = 3;

export interface KeepersSaid {
  /** Ids, as the record of keepers has them. */
  readonly keepers: readonly string[] | undefined;
  readonly cluster: Pick<ClusterRecord, 'storeMembers'> | undefined;
}

export function saidOf(view: Pick<ClusterView, 'cluster' | 'keepers'>): KeepersSaid {
  return { keepers: view.keepers(), cluster: view.cluster() };
}

/** Those that have not left, in the order of node ids. */
export function keepersOf(nodes: Iterable<NodeRecord>, { keepers, cluster }: KeepersSaid): readonly NodeRecord[] {
  const present = [...nodes].filter(({ left }) => !left).sort(byId);
  if (keepers) return present.filter(({ id }) => keepers.includes(id));
  const holders = present.filter(({ holdsStore }) => holdsStore);
  return holders.length > 0 ? holders : firstOf(present, cluster).sort(byId);
}

/** The etcd that a member runs for the cluster, not one of the user's own. `here`: this host does. */
export interface BundledStore {
  readonly port: number;
  readonly here: boolean;
}

export interface KeptStore extends BundledStore {
  /** Where the members of etcd speak with each other, and whence: the addresses of the other hosts that keep the store. */
  readonly peers: { readonly port: number; readonly addresses: readonly string[] };
}

/** What a view knows of who keeps the store. */
export interface StoreView {
  nodes(): Iterable<NodeRecord>;
  keepers(): readonly string[] | undefined;
  /** With a copy and without a vote. */
  keepersRecord(): { readonly learners?: readonly string[] } | undefined;
  storeChange(): Pick<StoreChange, 'nodeId'> | undefined;
}

/** Where the bundled store is, and who runs a member of it, has a copy, or is about to. */
export function keptStore(view: StoreView, selfId: string, store: BundledStore): KeptStore {
  const said = view.keepers();
  const [learners, change] = [view.keepersRecord()?.learners ?? [], view.storeChange()?.nodeId];
  const keeps = ({ id, holdsStore }: NodeRecord) =>
    (said ? said.includes(id) : holdsStore) || learners.includes(id) || id === change;
  const kept = [...view.nodes()].filter((node) => !node.left && keeps(node));
  const others = kept.filter(({ id }) => id !== selfId);
  const addresses = new Set(others.flatMap(({ advertiseAddress, vtep }) => [advertiseAddress, vtep]));
  const here = store.here || kept.length > others.length;
  return { ...store, here, peers: { port: PEER_PORT, addresses: [...addresses] } };
}

/** Whether the store goes on without that host. */
export function keptByOthers(view: Pick<ClusterView, 'keepers' | 'node'>, nodeId: string): boolean {
  return view.keepers()?.some((id) => id !== nodeId && view.node(id)?.left === false) ?? false;
}

export function isKeeper(nodeId: string, nodes: Iterable<NodeRecord>, said: KeepersSaid): boolean {
  return keepersOf(nodes, said).some(({ id }) => id === nodeId);
}

/** Whether more hosts are wanted to keep the bundled store than do. */
export function lacksKeepers(view: Pick<ClusterView, 'cluster' | 'keepers'>): boolean {
  return (view.keepers()?.length ?? 1) < (view.cluster()?.storeMembers ?? 1);
}

/**
 * Whether that node may write what is the whole cluster's, in etcd itself: below level 4 every one may, then keepers alone.
 */
export function mayWriteCluster(
  view: Pick<ClusterView, 'nodes' | 'keepers' | 'cluster' | 'level'>,
  nodeId: string,
): boolean {
  if (levelOf(view) < STORE_LEVEL) return true;
  return isKeeper(nodeId, view.nodes(), saidOf(view));
}

/**
 * In words, when of the hosts with the CA's key one alone is heard, where etcd is the user's own: nobody takes the place of those that
 * are lost, since nobody but them could give the key away. `isHeard`: this host is too.
 */
export function lastKeyProblem(
  nodes: Iterable<NodeRecord>,
  said: KeepersSaid,
  isHeard: (nodeId: string) => boolean,
): string | undefined {
  const holders = keepersOf(nodes, said);
  if (said.keepers !== undefined || holders.some(({ holdsStore }) => holdsStore)) return undefined;
  const [first, ...more] = holders.filter(({ id }) => isHeard(id));
  if (first === undefined || more.length > 0) return undefined;
  const others = holders.filter(({ id }) => id !== first.id).map(({ name }) => name);
  const [state, todo] =
    others.length === 0
      ? ['no other host has it', 'let another host join, which gets it']
      : [`${others.join(' and ')} not heard`, 'bring them back, or remove them, so that others get it'];
  return `${first.name} alone can use the CA's key now (${state}): if it is lost as well, no host joins or is removed and no certificate is renewed; ${todo}, and back up identity.json there`;
}

/** Who is behind NAT cannot be asked. */
function firstOf(nodes: readonly NodeRecord[], cluster: Pick<ClusterRecord, 'storeMembers'> | undefined): NodeRecord[] {
  const earlier = (a: NodeRecord, b: NodeRecord) => a.joinedAt - b.joinedAt || byId(a, b);
  // One alone would take the CA's key with it.
  const wanted = Math.max(2, cluster?.storeMembers ?? WANTED_BESIDE_EXTERNAL);
  return nodes
    .filter(({ nat }) => !nat)
    .sort(earlier)
    .slice(0, wanted);
}

function byId(a: NodeRecord, b: NodeRecord): number {
  return a.id < b.id ? -1 : 1;
}
