/** The first line of `--format 'table …'`: for each value the field that it is taken from, as a heading. */
import type { Expression, Node } from './parse.ts';

export function headingOf(nodes: readonly Node[]): string {
  return nodes.map(headingOfNode).join('');
}

/** Of a block its own field: what is inside differs from row to row. */
function headingOfNode(node: Node): string {
  if (node.kind === 'text') return node.text;
  if (node.kind === 'break' || node.kind === 'continue' || node.kind === 'assign') return '';
  return [...new Set(fieldsOf(node.value))].map(words).join(' ');
}

/** The last name of each path. */
function fieldsOf(of: Expression): readonly string[] {
  if (of.kind === 'field') return [of.name];
  return of.kind === 'call' ? of.args.flatMap(fieldsOf) : [];
}

/** `MacAddress` as `MAC ADDRESS`, `NetworkID` as `NETWORK ID`. */
function words(name: string): string {
  return name
    .replace(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, (whole, a, b) => (whole === 'IPv' ? whole : `${a} ${b}`))
    .toUpperCase();
}
