/** WireGuard on this host. */
import type { Op } from '../core/host-state.ts';
import type { SeenControlWay } from '../core/wireguard/control-way.ts';
import type { KeyPair } from '../core/wireguard/own-keys.ts';
import type { SeenWireguard, WireguardBackend, WireguardFailure, WireguardOp } from '../core/wireguard/state.ts';

/**
 * `observe` and `apply` throw `data-path-failed` (retryable); what fails of single ops is in the result. What is there goes on
 * when the agent ends.
 */
export interface Wireguard {
  /** What runs it here: the kernel's module where there is one. Undefined: nothing does. Looked for anew each time. */
  backend(): Promise<WireguardBackend | undefined>;
  observe(signal?: AbortSignal): Promise<SeenWireguard>;
  /** In order; those after a failed `add-device` of the same device are not begun. */
  apply(ops: readonly WireguardOp[], signal?: AbortSignal): Promise<readonly WireguardFailure[]>;
  /**
   * Something is not as it was, whoever did it: a process ended, a link, an address or the route changed. The first one says
   * that from then on it is heard. Of peers nothing is told.
   */
  changes(signal: AbortSignal): AsyncIterable<void>;
}

/** The way between the host and the tunnels (`core/wireguard/control-way.ts`). Both throw as those of {@link Wireguard}. */
export interface ControlWays {
  /** Undefined: there are no tunnels, and so there is nothing that it would lead to. */
  observe(signal?: AbortSignal): Promise<SeenControlWay | undefined>;
  /** In order, up to the first that fails, of which it throws. */
  apply(ops: readonly Op[], signal?: AbortSignal): Promise<void>;
}

/** A new pair (X25519, RFC 7748), of the host's own unpredictable bytes. */
export type MakeKeyPair = () => KeyPair;

/** Passes packets on between two members until it is closed. */
export interface Relay {
  readonly ports: readonly [number, number];
  close(): void;
}

/**
 * `address`: of this host. `ports`: 0 for any. `admits`: whether the member of that side may come from there. Throws as binding
 * does (`EADDRINUSE`).
 */
export type OpenRelay = (wanted: {
  readonly address: string;
  readonly ports: readonly [number, number];
  readonly admits: (side: 0 | 1, address: string) => boolean;
}) => Promise<Relay>;
