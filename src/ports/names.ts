/** The line to the process that answers names. */
import type { NamesNews, NamesRequest } from '../core/dns/names-protocol.ts';

/**
 * The process that answers names. It outlives the agent, and goes on with what it was told. What it is told of and asked
 * for is in `core/dns/names-protocol.ts`.
 */
export interface NamesProcess {
  /**
   * Sees to it that one runs and is connected, until the signal aborts, which ends the connection alone. Each connection
   * is a session; the process knows nothing, or what was told in sessions before.
   */
  run(onSession: (session: NamesSession) => void, signal: AbortSignal): Promise<void>;
  /** In words, while there is none that answers. */
  readonly problem: string | undefined;
}

export interface NamesSession {
  /** The process has just been started: it has no sockets in any namespace. */
  readonly isNew?: boolean | undefined;
  /** Aborts when the connection has ended. The process has ended then as well, or another session follows. */
  readonly ended: AbortSignal;
  /** In order; lost when the session has ended. */
  tell(news: NamesNews): void;
  /** Resolves when it was done. Throws what the process says, or `data-path-failed` (retryable) when the session ends. */
  ask(request: NamesRequest): Promise<void>;
}

/**
 * Asks the responder at `to` from inside of a container's namespace (undefined: as the host), with its own address `from`, by UDP. Throws
 * `data-path-failed` when the signal aborts before there is an answer, or nothing can be sent, and as system calls do.
 */
export type AskResponder = (
  container: { readonly namespacePath: string | undefined; readonly from: string },
  to: string,
  message: Uint8Array,
  signal: AbortSignal,
) => Promise<Uint8Array>;
