/** Records of which the cluster has one each, as the view has them: its own, and those about who keeps the store. */
import { decodeCluster, decodeKeepers, decodeStoreChange, readLevel } from './record-codec.ts';
import { type ClusterRecord, type KeepersRecord, keys, type StoreChange } from './records.ts';

/** Of the value at hand; `before` where it cannot be read. */
type Decode = <T>(decoder: (text: string) => T | undefined, before: T | undefined) => T | undefined;

export class SingleRecords {
  cluster: ClusterRecord | undefined;
  level: number | undefined;
  keepers: KeepersRecord | undefined;
  storeChange: StoreChange | undefined;

  apply(key: string, value: string | undefined, decode: Decode): void {
    if (key === keys.cluster) {
      this.cluster = decode(decodeCluster, this.cluster);
      // Of one that cannot be read, the level often can.
      if (value !== undefined && !decodeCluster(value)) this.level = readLevel(value) ?? this.level;
      else this.level = value === undefined ? undefined : this.cluster?.level;
    } else if (key === keys.storeKeepers) this.keepers = decode(decodeKeepers, this.keepers);
    else if (key === keys.storeChange) this.storeChange = decode(decodeStoreChange, this.storeChange);
  }
}
