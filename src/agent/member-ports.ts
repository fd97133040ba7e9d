/** What a member works with, and what it is told. */
import type { BundledStore } from '../core/keepers.ts';
import type { AgentVersion } from '../core/levels.ts';
import type { NodeRecord } from '../core/records.ts';
import type { Telemetry } from '../core/telemetry.ts';
import type { StateFile } from '../ports/files.ts';
import type { Containers, HostFacts } from '../ports/host.ts';
import type { Kernel } from '../ports/kernel.ts';
import type { NamesProcess } from '../ports/names.ts';
import type { PeerTransport } from '../ports/peers.ts';
import type { Clock, Logger, Random } from '../ports/runtime.ts';
import type { ClusterStore } from '../ports/store.ts';
import type { Trust } from './cluster/certification.ts';
import type { SelfRecordDeps } from './cluster/self-record.ts';
import type { GossipDeps } from './view/gossip.ts';
import type { StoreWatchDeps } from './view/store-watch.ts';
import type { TunnelPorts } from './wireguard/open-tunnels.ts';

export interface MemberPorts {
  readonly store: ClusterStore;
  readonly onStoreStalled: () => void;
  readonly transport: PeerTransport;
  readonly kernel: Kernel;
  readonly containers: Containers;
  readonly facts: HostFacts;
  readonly stateFile: StateFile;
  readonly names: NamesProcess;
  readonly tunnels: TunnelPorts;
  /** Networks came, changed or went, or the view became whole. */
  readonly onNetworks?: () => void;
  /** Members, or what the cluster has one of (its record, who keeps the store), changed: not what they have on networks. */
  readonly onMembers?: () => void;
  /** Links, addresses or routes of the host changed, or records of members. */
  readonly onHostChange?: () => void;
  /** The cluster speaks a level that this agent does not: it is to stop until it does. */
  readonly onUnspoken: (why: string) => void;
  /** Where the store is; the members of it may move, and it may be another one. */
  readonly storePlaces?: Pick<GossipDeps, 'storePlace' | 'onStorePlace'> & Pick<StoreWatchDeps, 'onGate' | 'onMoved'>;
  /** Namespaces of networks are gone or about to be removed: an open socket would keep them alive. */
  readonly letGo?: (namespaces: readonly string[]) => Promise<void>;
  /** In words, when an address of this host is lost. */
  readonly addressProblem?: () => string | undefined;
  /** Whether this host could run a member of the store. */
  readonly storeOffer?: SelfRecordDeps['storeOffer'];
  /** Absent: nothing here answers packets that see whether the data path works. */
  readonly answersProbes?: true;
  /** The CAs that are in use here, from level 4 on. */
  readonly trust?: () => Trust | undefined;
  readonly telemetry?: Telemetry;
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
  /** Whether an engine's containers are answered where they ask its own name server. */
  readonly namesInside: boolean;
  readonly auditIntervalMs: number;
  /** UDP, of WireGuard's first device; the second has the next one. */
  readonly wireguardPort: number;
  /** A key that is older is exchanged. */
  readonly keyLifetimeMs: number;
  /** Of the cluster, when its etcd is a bundled one, as it is now. */
  readonly bundledStore?: () => BundledStore | undefined;
}
