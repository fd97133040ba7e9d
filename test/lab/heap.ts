/** What a program holds on its heap, by V8's own account, so exact that a few dozen bytes for each of a thousand things show. */
import koffi from 'koffi';

interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[], ...unknown[]];
    };
  };
  readonly nodes: readonly number[];
}

/**
 * Not counted: what V8 makes of code as it runs, which goes on for hours; and memory outside of the heap (`native`), of which V8 knows
 * some. Whatever holds such memory is an object, and is counted.
 */
const NOT_OF_THE_PROGRAM = ['code', 'object shape', 'hidden', 'synthetic', 'native'];

/** Bytes of what the program has made, of a heap snapshot as `v8.getHeapSnapshot()` writes it, which collects garbage before. */
export async function heldBytes(written: AsyncIterable<unknown>): Promise<number> {
  const parts: string[] = [];
  for await (const part of written) parts.push(String(part));
  const { snapshot, nodes } = JSON.parse(parts.join('')) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const counted = types[0].map((name) => !NOT_OF_THE_PROGRAM.includes(name));
  const [type, size] = [fields.indexOf('type'), fields.indexOf('self_size')];
  let sum = 0;
  for (let at = 0; at < nodes.length; at += fields.length) if (counted[nodes[at + type]!]) sum += nodes[at + size]!;
  return sum;
}

const FIELDS = 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'.split(' ');
let mallinfo: (() => Record<string, number>) | undefined;

/** Bytes that C's `malloc` has given away and not got back (mallinfo2(3), of all arenas): libraries' memory, and buffers. */
export function allocatedBytes(): number {
  if (!mallinfo) {
    koffi.struct('Mallinfo2', Object.fromEntries(FIELDS.map((name) => [name, 'size_t'])));
    mallinfo = koffi.load(null).func('Mallinfo2 mallinfo2()') as unknown as () => Record<string, number>;
  }
  const { uordblks, hblkhd } = mallinfo();
  return uordblks! + hblkhd!;
}
