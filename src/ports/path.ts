/** Datagrams through the data path. */
import type { ChecksumCounts } from '../core/path/checksums.ts';

export interface PathSocket {
  /** What cannot be sent is as lost. */
  send(data: Uint8Array, address: string): void;
  /** Undefined: the kernel does not tell. */
  checksumErrors(): ChecksumCounts | undefined;
  close(): void;
}

/**
 * Opens one in the namespace, bound to the address and port. No packet of it is cut to pieces. Throws as system calls do. `onFailed`:
 * the kernel refused to send.
 */
export type OpenPathSocket = (
  namespace: string,
  bound: { readonly address: string; readonly port: number },
  on: { readonly message: (data: Uint8Array, from: string) => void; readonly failed: (error: Error) => void },
) => PathSocket;

/** Frames through a network's tunnel, and what comes in at the host's end of its bridge (`core/path/network-probe.ts`). */
export interface NetworkSocket {
  /** A whole frame. What cannot be sent is as lost. False: the device is gone, nothing leaves by it any more. */
  send(frame: Uint8Array): boolean;
  /** Whether the namespace is still the one in which it was opened, with the same devices. */
  isCurrent(): boolean;
  /** Nothing is heard from now on; nothing of it is in the namespace any more when that resolves. */
  close(): Promise<void>;
}

/** Throws as system calls do, where there is no such namespace or it lacks a device. */
export type OpenNetworkSocket = (
  namespace: string,
  devices: { readonly out: string; readonly in: string },
  on: { readonly port: number; readonly message: (data: Uint8Array, from: string) => void },
) => NetworkSocket;
