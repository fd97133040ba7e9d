/** What a node remembers of its etcd from one run to the next. */
export interface StoreMemory {
  /** The highest revision that it is known to have had. */
  readonly height: number;
  /** It held less than before, and nobody has said that it is to be taken as it is. */
  readonly behind: boolean;
  /** That the cluster spoke. Absent in files of before there were levels. */
  readonly level?: number;
}
