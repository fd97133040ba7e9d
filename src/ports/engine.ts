/** The container engine of this host, both ways. */
import type { DriverCalls } from '../core/engine/driver-calls.ts';
import type {
  EngineConnection,
  EngineContainer,
  EngineEvent,
  EngineNetwork,
  EngineNetworkMembers,
  EngineNetworkSpec,
} from '../core/engine/engine.ts';

/**
 * The API of this host's Docker Engine. Calls throw `engine-unavailable` (retryable), `engine-refused` with what it
 * said, or `conflict` (a name that is taken).
 */
export interface Engine {
  /** Those that it is just removing are not among them. */
  networks(): Promise<readonly EngineNetwork[]>;
  /** Ids of networks that it has removed, as far as it remembers: its last events, none from before its start. */
  removedNetworks(): Promise<ReadonlySet<string>>;
  /** Undefined when there is none. Answers at once, also while a container is being started. */
  members(networkId: string): Promise<EngineNetworkMembers | undefined>;
  /** Returns its id. */
  createNetwork(spec: EngineNetworkSpec): Promise<string>;
  /** False when there was none. */
  removeNetwork(id: string): Promise<boolean>;
  /** Ids of the containers that run, or that do not. */
  running(): Promise<readonly string[]>;
  stopped(): Promise<readonly string[]>;
  /** By id, unique id prefix or name; undefined when there is none. Waits while the container is being started. */
  inspect(ref: string): Promise<EngineContainer | undefined>;
  /** Where on the host a container's `/etc/hosts` is, once it was started. Answers at once, in general. */
  hostsPath(containerId: string): Promise<string>;
  connect(networkId: string, containerId: string, options: EngineConnection): Promise<void>;
  disconnect(networkId: string, containerId: string, force: boolean): Promise<void>;
  /** Resolves when the container runs, as it does already when it was running. */
  startContainer(containerId: string): Promise<void>;
  events(signal: AbortSignal): AsyncIterable<EngineEvent>;
}

/**
 * What the engine asks of us as its network and IPAM driver. It holds locks while it waits, without a limit: handlers end
 * soon after their signal aborts, and never wait for a call of {@link Engine}.
 */
export type DriverHandlers = DriverCalls<AbortSignal>;
