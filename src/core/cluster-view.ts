import type { SubnetTally } from './network-tallies.ts';
import {
  type ClaimRecord,
  type ClusterRecord,
  type EndpointRecord,
  type KeepersRecord,
  type LiveRecord,
  type NetworkRecord,
  type NodeRecord,
  PREFIX,
  type QuarantineRecord,
  type StaticNamesRecord,
  type StoreChange,
} from './records.ts';
import type { ServicesRecord } from './service-records.ts';

/** What a record says and is not believed. */
export interface Refusal {
  readonly key: string;
  /** Whose record it is. */
  readonly nodeId: string;
  /** In words that follow the node's name. */
  readonly what: string;
}

/**
 * What this node knows of the cluster: typed, indexed, read-only. Derived from the replica, never written to by hand.
 * Everything downstream (desired state, DNS answers, status) reads this and nothing else.
 *
 * Endpoints and claims of a network that has none of this host are decoded when they are asked for and let go of soon, so a
 * map that was returned may stay as it was then. Those of other networks are kept in step, and a record is the same object
 * until it changes.
 */
export interface ClusterView {
  /** True once a full snapshot (etcd's list, or a peer's whole table) has been held since start: removal needs it. */
  readonly isWhole: boolean;
  /** etcd holds less than this node has seen it hold: it was restored, or lost data. Nothing counts as absent then. */
  readonly behind: boolean;
  /** What is not in the view does not exist. */
  readonly provesAbsence: boolean;
  /** Everything up to this etcd revision is in the view. */
  readonly revision: number;
  /**
   * Values of keys that cannot be read, by key. What was known of such a key stands; it must neither be written over nor
   * be taken for absent.
   */
  readonly unreadable: ReadonlyMap<string, string>;
  /** Records, or parts of them, that their nodes may not write: as if they were not there (`node-records.ts`, `open-networks.ts`). */
  readonly refusals: readonly Refusal[];
  /** The cluster's, which is known even where nothing else of its record can be read; undefined where it is not said. */
  readonly level: number | undefined;
  cluster(): ClusterRecord | undefined;
  /** Ids of the nodes that keep the store, as keepers wrote it; undefined before there was a level for it. */
  keepers(): readonly string[] | undefined;
  /** The record that says so, with what else it says. */
  keepersRecord(): KeepersRecord | undefined;
  /** The one change of the store's members that is under way. */
  storeChange(): StoreChange | undefined;
  node(nodeId: string): NodeRecord | undefined;
  nodes(): Iterable<NodeRecord>;
  live(nodeId: string): LiveRecord | undefined;
  network(networkId: string): NetworkRecord | undefined;
  networkByName(name: string): NetworkRecord | undefined;
  networks(): Iterable<NetworkRecord>;
  endpoint(of: Pick<EndpointRecord, 'nodeId' | 'id'>): EndpointRecord | undefined;
  /** All of a node's, by id. Made for the one who asks. */
  endpointsOf(nodeId: string): ReadonlyMap<string, EndpointRecord>;
  /** Of one node, or of all; those that cannot be read too. */
  endpointCount(nodeId?: string): number;
  /**
   * Who is where on a network, on all nodes, by address. Of records that have one address the one is here that the claim
   * names; where there is no claim, the oldest. Kept in step as long as somebody here wants the network, and then let go of.
   */
  addresses(networkId: string): ReadonlyMap<string, EndpointRecord>;
  /** Endpoints that are at one of the network's addresses at least, each once. */
  endpointsOn(networkId: string): Iterable<EndpointRecord>;
  /** Another one than before when an endpoint of the network, or any member, has become another. */
  moment(networkId: string): number;
  /** The same of other members' endpoints alone. */
  momentOfOthers(networkId: string): number;
  /** By address. */
  claims(networkId: string): ReadonlyMap<string, ClaimRecord>;
  /** Those that a person gave. */
  staticNames(networkId: string): StaticNamesRecord | undefined;
  services(networkId: string): ServicesRecord | undefined;
  quarantine(networkId: string): ReadonlyMap<string, QuarantineRecord>;
  /** How many addresses of one of the network's subnets are taken and rest: counted once, and kept in step. */
  subnetTally(networkId: string, cidr: string): SubnetTally;
  /** Endpoints of the network that have one MAC, by MAC; only older releases let that happen. Found once, and kept in step. */
  sharedMacs(networkId: string): ReadonlyMap<string, ReadonlySet<EndpointRecord>>;
  /** Ids of the nodes whose the numbers of WireGuard keys are, by number, as the claims say. */
  keyNumbers(): ReadonlyMap<number, string>;
}

/** Ids of members that etcd holds but that cannot be read and were not known before, as after a start. */
export function unknownMembers(view: Pick<ClusterView, 'node' | 'unreadable'>): readonly string[] {
  return [...view.unreadable.keys()].flatMap((key) => {
    const [kind, id = ''] = key.slice(PREFIX.length).split('/');
    return kind === 'nodes' && view.node(id) === undefined ? [id] : [];
  });
}
