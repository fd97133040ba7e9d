/** What a member works with, and what it is told. */
import type { BundledStore } from '../core/host-state.ts';
import type { AgentVersion } from '../core/levels.ts';
import type { NodeRecord } from '../core/records.ts';
import type { StateFile } from '../ports/files.ts';
import type { Containers, HostFacts } from '../ports/host.ts';
import type { Kernel } from '../ports/kernel.ts';
import type { NamesProcess } from '../ports/names.ts';
import type { PeerTransport } from '../ports/peers.ts';
import type { Clock, Logger, Random } from '../ports/runtime.ts';
import type { ClusterStore } from '../ports/store.ts';

export interface MemberPorts {
  readonly store: ClusterStore;
  readonly onStoreStalled: () => void;
  readonly transport: PeerTransport;
  readonly kernel: Kernel;
  readonly containers: Containers;
  readonly facts: HostFacts;
  readonly stateFile: StateFile;
  readonly names: NamesProcess;
  /** Networks came, changed or went, or the view became whole. */
  readonly onNetworks?: () => void;
  /** Links, addresses or routes of the host changed, or records of members. */
  readonly onHostChange?: () => void;
  /** The cluster speaks a level that this agent does not: it is to stop until it does. */
  readonly onUnspoken: (why: string) => void;
  /** In words, when an address of this host is lost. */
  readonly addressProblem?: () => string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface MemberOptions {
  /** This node as it joined: what is known of it before etcd answers. */
  readonly self: NodeRecord;
  readonly agent: AgentVersion;
  /** URLs at which this host reaches etcd. */
  readonly storeEndpoints: readonly string[];
  /** Members as a former run in this process knew them. */
  readonly knownNodes?: readonly NodeRecord[];
  readonly gossipIntervalMs: number;
  readonly leaseSeconds: number;
  readonly quarantineSeconds: number;
  readonly dnsTtlSeconds: number;
  readonly auditIntervalMs: number;
  /** Of the cluster, when its etcd is a bundled one. */
  readonly bundledStore?: BundledStore | undefined;
}
