/** Incus on this host: its instances, and what their configuration says of our networks. */

export interface IncusInstance {
  readonly project: string;
  readonly name: string;
  readonly kind: 'container' | 'virtual-machine';
  readonly isRunning: boolean;
  /** By name of a network: what its key says, with those of the instance's profiles. */
  readonly wishes: ReadonlyMap<string, string>;
}

/** Which instance, of which project. */
export type IncusName = Pick<IncusInstance, 'project' | 'name'>;

export interface Incus {
  /** Those of this host. Throws `engine-unavailable`, `engine-refused`. */
  instances(): Promise<readonly IncusInstance[]>;
  /** Throws `namespace-not-found`, `engine-unavailable`, `engine-refused`. */
  instance(name: IncusName): Promise<IncusInstance>;
  /** Writes the instance's own key; undefined takes it away. Throws as {@link instance}. */
  setWish(name: IncusName, network: string, text: string | undefined): Promise<void>;
  /**
   * Comes whenever instances, or what is wanted of them, may be others: first when Incus answers, again after it was away.
   * Ends with the signal.
   */
  changes(signal: AbortSignal): AsyncIterable<void>;
}
