/** Search over all that has a name, an address or an id. Pure. */
import type { ClusterTable } from './cluster-table.ts';
import type { EndpointRow, HostRow, NetworkRow } from './contract.ts';

export type Hit =
  | { readonly kind: 'host'; readonly row: HostRow }
  | { readonly kind: 'network'; readonly row: NetworkRow }
  | { readonly kind: 'endpoint'; readonly row: EndpointRow };

const SHORTEST_ID = 4;

/**
 * What has the words, all of them, somewhere in its names, addresses or labels, or begins with them as an id; names that begin with
 * the first word come first. `most`: of each kind.
 */
export function search(table: ClusterTable, text: string, most: number): readonly Hit[] {
  const words = wordsOf(text);
  if (words.length === 0) return [];
  const pick = <T>(rows: readonly T[], namesOf: (row: T) => readonly string[], id: (row: T) => string): T[] => {
    const first: T[] = [];
    const others: T[] = [];
    for (const row of rows) {
      const names = namesOf(row);
      if (!matches(words, names, id(row))) continue;
      (names[0]!.toLowerCase().startsWith(words[0]!) ? first : others).push(row);
      if (first.length >= most) break;
    }
    return [...first, ...others].slice(0, most);
  };
  const id = (row: { readonly id: string }) => row.id;
  return [
    ...pick(table.sorted('hosts'), hostTexts, id).map((row) => ({ kind: 'host', row }) as const),
    ...pick(table.sorted('networks'), networkTexts, id).map((row) => ({ kind: 'network', row }) as const),
    ...pick(table.sorted('endpoints'), (row) => endpointTexts(table, row), id).map(
      (row) => ({ kind: 'endpoint', row }) as const,
    ),
  ];
}

/** Those that have all the words; all without words. */
export function filterEndpoints(
  table: ClusterTable,
  rows: readonly EndpointRow[],
  text: string,
): readonly EndpointRow[] {
  const words = wordsOf(text);
  if (words.length === 0) return rows;
  return rows.filter((row) => matches(words, endpointTexts(table, row), row.id));
}

function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

function matches(words: readonly string[], texts: readonly string[], id: string): boolean {
  return words.every(
    (word) =>
      texts.some((text) => text.toLowerCase().includes(word)) || (word.length >= SHORTEST_ID && id.startsWith(word)),
  );
}

function hostTexts({ name, address, labels }: HostRow): readonly string[] {
  return [name, address, ...labelTexts(labels)];
}

function networkTexts({ name, vni, subnets, labels }: NetworkRow): readonly string[] {
  return [name, String(vni), ...subnets.map(({ cidr }) => cidr), ...labelTexts(labels)];
}

function endpointTexts(table: ClusterTable, row: EndpointRow): readonly string[] {
  const { name, aliases, addresses, mac, tool, network, host } = row;
  const places = [table.get('networks', network)?.name ?? '', table.get('hosts', host)?.name ?? ''];
  return [name, ...aliases, ...addresses, mac, tool, ...places];
}

function labelTexts(labels: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}
