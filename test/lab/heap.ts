/** What a program holds on its heap, by V8's own account, so exact that a few dozen bytes for each of a thousand things show. */
import koffi from 'koffi';

interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[], ...unknown[]];
      readonly edge_fields: readonly string[];
      readonly edge_types: readonly [readonly string[], ...unknown[]];
    };
  };
  readonly nodes: readonly number[];
  readonly edges: readonly number[];
  readonly strings: readonly string[];
}

/**
 * Not counted: what V8 makes of code as it runs, which goes on for hours; and memory outside of the heap (`native`), of which V8 knows
 * some. Whatever holds such memory is an object, and is counted.
 */
const NOT_OF_THE_PROGRAM = ['code', 'object shape', 'hidden', 'synthetic', 'native'];
/** Of edges, their names are numbers. */
const UNNAMED = ['element', 'hidden'];

/**
 * Bytes of what the program has made, of a heap snapshot as `v8.getHeapSnapshot()` writes it, which collects garbage before. `apart`:
 * what variables and fields of these names lead to, and objects of such classes, do not count, nor what they alone hold.
 */
export async function heldBytes(written: AsyncIterable<unknown>, apart: readonly string[] = []): Promise<number> {
  const parts: string[] = [];
  for await (const part of written) parts.push(String(part));
  const { snapshot, nodes, edges, strings } = JSON.parse(parts.join('')) as Snapshot;
  const { node_fields: fields, edge_fields: edgeFields } = snapshot.meta;
  const [types] = snapshot.meta.node_types;
  const [edgeTypes] = snapshot.meta.edge_types;
  const [type, name, size, count] = ['type', 'name', 'self_size', 'edge_count'].map((each) => fields.indexOf(each)) as [
    ...[number, number, number, number],
  ];
  const [edgeType, edgeName, to] = ['type', 'name_or_index', 'to_node'].map((each) => edgeFields.indexOf(each)) as [
    ...[number, number, number],
  ];
  const isApart = strings.map((each) => apart.includes(each));
  const isNamed = edgeTypes.map((each) => !UNNAMED.includes(each));
  const object = types.indexOf('object');
  const weak = edgeTypes.indexOf('weak');

  const firstEdges = new Uint32Array(nodes.length / fields.length + 1);
  const seen = new Uint8Array(firstEdges.length);
  for (let node = 0, at = 0; at < nodes.length; node++, at += fields.length) {
    firstEdges[node + 1] = firstEdges[node]! + nodes[at + count]! * edgeFields.length;
    if (nodes[at + type] === object && isApart[nodes[at + name]!]) seen[node] = 1;
  }
  for (let at = 0; at < edges.length; at += edgeFields.length) {
    if (isNamed[edges[at + edgeType]!] && isApart[edges[at + edgeName]!]) seen[edges[at + to]! / fields.length] = 1;
  }
  const counted = types.map((each) => !NOT_OF_THE_PROGRAM.includes(each));
  const left = [0];
  let sum = 0;
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (counted[nodes[node * fields.length + type]!]) sum += nodes[node * fields.length + size]!;
    for (let at = firstEdges[node]!; at < firstEdges[node + 1]!; at += edgeFields.length) {
      const next = edges[at + to]! / fields.length;
      if (edges[at + edgeType] === weak || seen[next]) continue;
      seen[next] = 1;
      left.push(next);
    }
  }
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
