/**
 * `--format` with a template: what Docker takes, which is Go's `text/template` with some functions more. Named templates, methods
 * and complex numbers are left out. Lists are printed as `a,b`, maps as `key=value`, and an unknown field is an error.
 */
import { UsageError } from './exit.ts';
import { printableText } from './table.ts';
import { evaluate } from './template/evaluate.ts';
import { headingOf } from './template/heading.ts';
import { type Node, parseNodes } from './template/parse.ts';

export interface Template {
  readonly nodes: readonly Node[];
  /** `table …`: tabs make columns, and the first line names them. */
  readonly isTable: boolean;
}

/** Throws {@link UsageError}. */
export function parseTemplate(text: string): Template {
  const isTable = /^table\s/.test(text);
  const nodes = parseNodes(isTable ? text.slice('table '.length) : text);
  if (nodes.every(({ kind }) => kind === 'text')) {
    throw new UsageError(
      `--format ${JSON.stringify(text)} is neither json, table nor a template; write it like '{{.Name}}'`,
    );
  }
  return { nodes, isTable };
}

/** Throws {@link UsageError} naming the fields there are. */
export function renderTemplate({ nodes }: Template, row: object): string {
  return printableText(evaluate(nodes, row));
}

/** All rows, a line each, without the last newline; of a table its heading comes first. */
export function renderRows(template: Template, rows: readonly object[]): string {
  const lines = rows.map((row) => renderTemplate(template, row));
  if (!template.isTable) return lines.join('\n');
  return inColumns([headingOf(template.nodes), ...lines].map((line) => line.split('\t')));
}

/** Three spaces apart, as all tables. */
function inColumns(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines) for (const [i, cell] of line.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  const row = (line: readonly string[]) => line.map((cell, i) => cell.padEnd(widths[i]!)).join('   ');
  return lines.map((line) => row(line).trimEnd()).join('\n');
}
