/** How listings and inspections are written: a table, one JSON array, a template a row, or ids only. */
import { type Command, Option } from 'commander';
import { UsageError } from './exit.ts';
import { addFilterOption, type Filter, type Filters, fits } from './filter.ts';
import type { Session } from './session.ts';
import { type Column, jsonText, renderTable, shortId } from './table.ts';
import { parseTemplate, renderRows, renderTemplate, type Template } from './template.ts';

export type Format = 'table' | 'json' | Template;

const INDENT = 4;

export interface ListOptions {
  readonly format?: Format;
  readonly quiet?: boolean;
  readonly trunc: boolean;
  readonly filter?: readonly Filter[];
}

export function parseFormat(text: string): Format {
  return text === 'table' || text === 'json' ? text : parseTemplate(text);
}

/** `--filter`, `--format`, `--quiet`, `--no-trunc`; `ids` is what is printed of each by `--quiet`. */
export function addListOptions<T>(command: Command, filters: Filters<T>, ids = 'ids'): Command {
  return addFilterOption(command, filters)
    .addOption(
      new Option(
        '--format <format>',
        "table, json (one array), or a template like '{{.Name}}' or 'table {{.Name}}\\t{{.ID}}'",
      ).argParser(parseFormat),
    )
    .option('-q, --quiet', `print ${ids} only`)
    .option('--no-trunc', 'print whole ids');
}

/** Of what only looks: a template that does not fit comes too late for what has been done. */
export type AnswerFormat = 'text' | 'json' | Template;

/** `--format` of commands that show one thing. */
export function addAnswerOption(command: Command): Command {
  return command.addOption(
    new Option('--format <format>', "text, json, or a template like '{{json .}}'")
      .argParser((text: string): AnswerFormat => (text === 'text' || text === 'json' ? text : parseTemplate(text)))
      .default('text'),
  );
}

export function printAnswer(session: Session, format: Exclude<AnswerFormat, 'text'>, value: object): void {
  if (format === 'json') printJson(session, value);
  else session.print(renderRows(format, [value]));
}

/** `--format json` of commands that do something and say what. */
export function addJsonOption(command: Command): Command {
  return command.addOption(
    new Option('--format <format>', 'how to print the answer').choices(['text', 'json']).default('text'),
  );
}

export interface Listing<T, J extends object> {
  /** All of them; those that the filters let pass are printed. */
  readonly rows: readonly T[];
  readonly filters: Filters<T>;
  readonly columns: readonly Column<T>[];
  /** A row as `--format json` and templates see it. */
  readonly toJson: (row: T) => J;
  readonly id: (row: T) => string;
}

export function printListing<T, J extends object>(
  session: Session,
  options: ListOptions,
  listing: Listing<T, J>,
): void {
  const { columns, filters, toJson, id } = listing;
  const { format = 'table', filter = [] } = options;
  const rows = listing.rows.filter((row) => fits(filters, row, filter));
  if (options.quiet) for (const row of rows) session.print(shortId(id(row), !options.trunc));
  else if (format === 'table') session.print(renderTable(columns, rows));
  else if (format === 'json') printJson(session, rows.map(toJson));
  else if (rows.length > 0 || format.isTable) session.print(renderRows(format, rows.map(toJson)));
}

export function addInspectOption(command: Command): Command {
  return command.addOption(
    new Option('-f, --format <format>', "json, or a template like '{{.Id}}'").argParser((text: string) => {
      if (/^table\b/.test(text)) throw new UsageError('inspect has no table; leave --format out for JSON');
      return parseFormat(text);
    }),
  );
}

export function printInspected(session: Session, format: Format | undefined, objects: readonly object[]): void {
  if (format === undefined || format === 'json' || format === 'table') printJson(session, objects);
  else for (const object of objects) session.print(renderTemplate(format, object));
}

export function printJson(session: Session, value: unknown): void {
  session.print(jsonText(value, INDENT));
}

/** RFC 3339, as Docker prints times; empty when there is none. */
export function timestamp(ms: number): string {
  return ms === 0 ? '' : new Date(ms).toISOString();
}
