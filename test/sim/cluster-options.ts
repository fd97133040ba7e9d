/** What a simulated cluster is like. */
import type { Family } from '../../src/core/ip.ts';
import type { AgentVersion } from '../../src/core/levels.ts';
import type { WireguardBackend } from '../../src/core/wireguard/state.ts';
import type { Logger } from '../../src/ports/runtime.ts';

export interface SimulatedClusterOptions {
  readonly seed: number;
  readonly latencyMs?: readonly [least: number, most: number];
  readonly loss?: number;
  /** How long requests to etcd, its answers and its updates take, at most; anything up to that. Default 0. */
  readonly etcdMs?: number;
  readonly log?: Logger;
  /** Every host has a container engine, which runs when the host starts. */
  readonly engines?: boolean;
  /** What is installed on its hosts, which the cluster begins with. */
  readonly agent?: AgentVersion;
  /** Of its hosts' addresses. 4. */
  readonly family?: Family;
  /** Of WireGuard keys. Default: for ever. */
  readonly keyLifetimeMs?: number;
  /** What runs WireGuard on hosts. `wireguard-go`. */
  readonly wireguard?: WireguardBackend | 'none';
}
