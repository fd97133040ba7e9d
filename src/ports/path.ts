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
