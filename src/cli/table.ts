/** Columns of text, three spaces apart, as Docker prints them. */
import { styleText } from 'node:util';

export interface Column<T> {
  readonly heading: string;
  readonly cell: (row: T) => string;
}

/** A heading line and one line a row, without a trailing newline. */
export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const lines = [
    columns.map(({ heading }) => heading),
    ...rows.map((row) => columns.map(({ cell }) => printable(cell(row)))),
  ];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines
    .map((line) =>
      line
        .map((text, i) => text.padEnd(widths[i]!))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

/** `key: value` lines with the values in one column. */
export function renderFacts(facts: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${`${name}:`.padEnd(width + 2)} ${printable(value)}`.trimEnd()).join('\n');
}

/** Ids are shown by their first twelve characters, as Docker does; what is none (a name, a token's short id) is shown whole. */
export function shortId(id: string, full = false): string {
  return full || !/^[0-9a-f]{32,}$/.test(id) ? id : id.slice(0, 12);
}

export type Tone = 'good' | 'warning' | 'bad';

const STYLES = { good: 'green', warning: 'yellow', bad: 'red' } as const;

export function colour(text: string, tone: Tone, enabled: boolean): string {
  return enabled ? styleText(STYLES[tone], text, { validateStream: false }) : text;
}

/** As {@link printable}, of what has lines and columns by itself. */
export function printableText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '?');
}

/** JSON that is no more to a terminal than text: it leaves some control characters as they are. */
export function jsonText(value: unknown, indent?: number): string {
  const escaped = (character: string) => `\\u00${character.charCodeAt(0).toString(16)}`;
  return JSON.stringify(value, null, indent).replace(/[\x7f-\x9f]/g, escaped);
}

/** Names may come from other hosts: control characters must not reach the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?');
}
