/** Datagrams through the data path. */

export interface PathSocket {
  /** What cannot be sent is as lost. */
  send(data: Uint8Array, address: string): void;
  /** Packets for any such socket of its namespace that the kernel dropped since its start for a wrong checksum; undefined: it does not tell. */
  checksumErrors(): number | undefined;
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
