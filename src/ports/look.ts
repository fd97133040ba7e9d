/** What is looked at inside of containers, when somebody asks. */

/**
 * Sends packets from inside of a container's namespace (undefined: as the host), with its own address `from`, until one was answered or the
 * signal aborts. Resolves with undefined when one was, otherwise in words. Throws as system calls do.
 */
export type SendPacket = (
  container: { readonly namespacePath: string | undefined; readonly from: string },
  to: string,
  signal: AbortSignal,
) => Promise<string | undefined>;

/** In words, why what runs in that namespace does nothing; undefined: it runs, or the path does not tell which process it is. */
export type StillnessOf = (namespacePath: string) => Promise<string | undefined>;
