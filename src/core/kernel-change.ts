/** What the kernel tells of changes. */
/** A neighbour or an FDB row of a network's namespace, as an event tells it. */
export interface RowEvent {
  /** `unwritten`: it is there, but as something that the kernel itself knows, which may be what somebody's row became. */
  readonly what: 'written' | 'unwritten' | 'gone';
  /** Interface index of its link; the name where that is known. */
  readonly index: number;
  readonly link: string | undefined;
  readonly mac: string;
  /** Of a neighbour; undefined: an FDB row. */
  readonly address: string | undefined;
  /** As of `FdbRow`. */
  readonly vtep: string | undefined;
  readonly port: number | undefined;
}

/** Something changed there, whoever did it. `echo`: while we wrote there, so that it is most likely our own doing. */
export type KernelChange =
  | {
      readonly kind: 'network';
      readonly namespace: string;
      readonly echo?: true;
      /** All that changed, in order; undefined: anything in it. */
      readonly rows?: readonly RowEvent[] | undefined;
    }
  /** What is ours in the host's namespace. */
  | { readonly kind: 'host'; readonly echo?: true }
  /** Inside of a container that has been looked into; by the path of its namespace. */
  | { readonly kind: 'container'; readonly path: string; readonly echo?: true }
  /** Links, addresses or routes of the host itself. */
  | { readonly kind: 'underlay' }
  /** Anything: events may have been lost. */
  | { readonly kind: 'all' };
