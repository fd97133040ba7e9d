/** The resolver of the host itself, by which its programs find names. */
export interface HostResolver {
  /**
   * Has it ask these servers for names of that domain and of these further ones, and for those without a dot, by the link. False: this host has none that
   * can be told. Throws `data-path-failed` when it refuses, as of a link that is not there.
   */
  ask(link: string, servers: readonly string[], domain: string, further: readonly string[]): Promise<boolean>;
  /** It asks nobody by the link any more. A link that is gone is as well. */
  forget(link: string): Promise<void>;
}
