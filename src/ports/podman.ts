/** Podman on this host: it has no daemon, so all that can be asked is what it keeps on disk. Nothing here runs it. */
import type { PodmanNetwork } from '../core/podman/network-file.ts';

export interface PodmanNetworkFiles {
  /**
   * Differs whenever a file came or went; its first word when the folder is another one. Undefined: this host's Podman does not
   * have our plugin, and is offered nothing.
   */
  stamp(): Promise<string | undefined>;
  /** Those that can be read, whatever their driver. */
  list(): Promise<readonly PodmanNetwork[]>;
  /** Whether there is a file of that name, be it one that cannot be read at this moment. */
  has(name: string): Promise<boolean>;
  /** False: there is one of that name, and it stays as it is. */
  add(network: PodmanNetwork): Promise<boolean>;
  /** Puts it in the place of the one of its name and id. */
  change(network: PodmanNetwork): Promise<void>;
  /** Only the one of that name and id. */
  remove(network: PodmanNetwork): Promise<void>;
}

export interface PodmanContainers {
  /** Differs whenever a container may have another name. */
  stamp(): Promise<string>;
  /** Names by id (64 hex characters), of those that can be read. */
  names(): Promise<ReadonlyMap<string, string>>;
  /** Of these paths of network namespaces, those in which no process lives. */
  deserted(paths: readonly string[]): Promise<ReadonlySet<string>>;
}

export interface PodmanHealth {
  /**
   * Of these ids (64 hex characters), whether their own check has failed too often; false of one that has no check. Those of which it cannot
   * be read at this moment are left out.
   */
  unhealthy(ids: Iterable<string>): Promise<ReadonlyMap<string, boolean>>;
  /** Calls `told` with the id when a check of one of these has ended, from now on and until it is given others. */
  follow(ids: ReadonlySet<string>, told: (id: string) => void): void;
}
