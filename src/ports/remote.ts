/** Another host that is no member yet, as its administrator reaches it. */

export interface RemoteTarget {
  /** `host` or `user@host`, as ssh takes it. */
  readonly destination: string;
  /** Undefined: as ssh is configured. */
  readonly port?: number | undefined;
  /** File of a private key. */
  readonly identity?: string | undefined;
  /** Of ssh_config(5), `Name=value`. */
  readonly options: readonly string[];
  /** Whether there is a person whom ssh may ask. */
  readonly interactive: boolean;
}

export interface RemoteEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A file of this host, of which `onSent` hears how many bytes have gone. */
export interface SentFile {
  readonly file: string;
  readonly onSent?: (bytes: number) => void;
}

export interface RemoteShell {
  /** A script of sh, whatever its exit code. Throws `peer-unreachable` when the connection is lost. */
  run(script: string, options?: { readonly input?: string | SentFile }): Promise<RemoteEnd>;
  close(): Promise<void>;
}

/**
 * Throws `tool-missing`, `peer-refused`, `peer-unreachable`, `permission-denied`, with the next step. Once `signal` is aborted this and
 * all that runs throws its reason; what was begun there may go on.
 */
export type OpenRemoteShell = (target: RemoteTarget, signal: AbortSignal) => Promise<RemoteShell>;
