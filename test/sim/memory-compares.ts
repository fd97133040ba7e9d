/** Compares of a transaction, as etcd takes them. */
import type { Compare } from '../../src/ports/store.ts';

export function holds(keys: ReadonlyMap<string, { readonly revision: number }>, compare: Compare): boolean {
  switch (compare.kind) {
    case 'absent':
      return !keys.has(compare.key);
    case 'exists':
      return keys.has(compare.key);
    case 'revision':
      return (keys.get(compare.key)?.revision ?? 0) === compare.revision;
    case 'empty': {
      const { after = 0, prefix } = compare;
      return [...keys].every(([key, { revision }]) => !key.startsWith(prefix) || revision <= after);
    }
  }
}
