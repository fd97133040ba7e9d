/** What a node remembers of its etcd from one run to the next. */
export interface StoreMemory {
  /** The highest revision that it is known to have had. */
  readonly height: number;
  /** It held less than before, and nobody has said that it is to be taken as it is. */
  readonly behind: boolean;
  /** That the cluster spoke. Absent in files of before there were levels. */
  readonly level?: number;
  /** The life of it that was followed last. Absent: it had none yet. */
  readonly epoch?: string;
}

/** The cause of `state-unreadable`: what could be read of the file all the same. Another version may have written it. */
export class UnusableState extends Error {
  readonly store: StoreMemory | undefined;

  constructor(message: string, store: StoreMemory | undefined) {
    super(message);
    this.store = store;
  }
}
