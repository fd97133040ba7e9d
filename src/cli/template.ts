/**
 * The part of Docker's `--format` templates that scripts use: `{{.Name}}`, `{{.Labels.team}}`, `{{json .Options}}`,
 * with `\t` and `\n`. Everything else is refused, pointing at `--format json`.
 */
import { nearest } from '../core/nearest.ts';
import { UsageError } from './exit.ts';

type Part = { readonly literal: string } | { readonly path: readonly string[]; readonly json: boolean };
export type Template = readonly Part[];

/** Maps whose keys people choose: a missing key is no mistake. */
const OPEN_MAPS = new Set(['Labels', 'Options', 'AuxiliaryAddresses', 'Containers', 'Fields']);

export function parseTemplate(text: string): Template {
  if (/^table\s/.test(text)) {
    throw new UsageError(
      `--format ${JSON.stringify(text)}: tables have fixed columns; leave "table" out, or use --format table`,
    );
  }
  const parts: Part[] = [];
  const source = text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
  let end = 0;
  for (const match of source.matchAll(/\{\{(.*?)\}\}/gs)) {
    parts.push({ literal: source.slice(end, match.index) }, parseAction(match[1]!));
    end = match.index + match[0].length;
  }
  if (end === 0 || source.slice(end).includes('{{')) {
    throw new UsageError(
      `--format ${JSON.stringify(text)} is neither json, table nor a template; write it like '{{.Name}}'`,
    );
  }
  return [...parts, { literal: source.slice(end) }];
}

function parseAction(text: string): Part {
  const match = /^\s*(json\s+)?\.([\w-]+(?:\.[\w-]+)*)?\s*$/.exec(text);
  if (!match || (match[1] === undefined && match[2] === undefined)) {
    throw new UsageError(
      `--format: {{${text}}} is not supported, only {{.Field}} and {{json .Field}} are; use --format json with jq for the rest`,
    );
  }
  return { path: match[2]?.split('.') ?? [], json: match[1] !== undefined };
}

/** Maps of anything, whatever is below a key. */
const OPEN_TREES = new Set(['Fields']);

/** Throws {@link UsageError} naming the fields there are. */
export function renderTemplate(template: Template, row: object): string {
  return template
    .map((part) => ('literal' in part ? part.literal : renderValue(lookUp(row, part.path), part.json)))
    .join('');
}

function lookUp(row: object, path: readonly string[]): unknown {
  let value: unknown = row;
  let open = false;
  let isAnything = false;
  for (const field of path) {
    const known = typeof value === 'object' && value !== null ? value : {};
    if (!Object.hasOwn(known, field)) {
      if (open) return undefined;
      throw unknownField(field, path, Object.keys(known));
    }
    value = (known as Record<string, unknown>)[field];
    isAnything ||= OPEN_TREES.has(field);
    open = isAnything || OPEN_MAPS.has(field);
  }
  return value;
}

function unknownField(field: string, path: readonly string[], known: readonly string[]): UsageError {
  const close = nearest(field, known);
  const hint = known.length === 0 ? 'there are none below it' : `there are ${known.join(', ')}`;
  return new UsageError(
    `--format: no field ${field} in {{.${path.join('.')}}}; ${close ? `did you mean ${close}? ` : ''}${hint}`,
  );
}

function renderValue(value: unknown, json: boolean): string {
  if (json) return JSON.stringify(value ?? null);
  if (value === undefined || value === null) return '<no value>';
  if (Array.isArray(value)) return value.map((item) => renderValue(item, false)).join(',');
  if (typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([key, item]) => `${key}=${renderValue(item, false)}`)
    .join(',');
}
